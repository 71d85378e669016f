#!/usr/bin/env python3
"""Writes csrc/ssh/blowfish_pi.h: Blowfish's initial state, which is the
fraction of pi in base 2**32 (18 words of P, then four boxes of 256).

    python3 tools/gen-blowfish.py > csrc/ssh/blowfish_pi.h

Pi comes from Machin's formula, 16 atan(1/5) - 4 atan(1/239), in fixed point
with 64 bits to spare. test/c/test_bcrypt.c computes it again and compares."""

P_WORDS, BOXES, BOX_WORDS = 18, 4, 256
WORDS = P_WORDS + BOXES * BOX_WORDS
SPARE = 64


def atan_inverse(x, one):
    """atan(1/x) times one, by its power series."""
    power = total = one // x
    n = 1
    while power:
        power //= -x * x
        n += 2
        total += power // n
    return total


def pi_words():
    one = 1 << (32 * WORDS + SPARE)
    pi = 16 * atan_inverse(5, one) - 4 * atan_inverse(239, one)
    fraction = (pi - 3 * one) >> SPARE
    return [fraction >> (32 * (WORDS - 1 - i)) & 0xffffffff
            for i in range(WORDS)]


def rows(words, indent):
    return ',\n'.join(
        ' ' * indent + ', '.join('0x%08x' % w for w in words[i:i + 6])
        for i in range(0, len(words), 6))


def main():
    words = pi_words()
    boxes = [words[P_WORDS + i * BOX_WORDS:][:BOX_WORDS]
             for i in range(BOXES)]
    print('/* blowfish_pi.h - the fraction of pi: Blowfish\'s initial state.\n'
          ' * Made by tools/gen-blowfish.py; not to be edited. */')
    print('#ifndef ALK_BLOWFISH_PI_H\n#define ALK_BLOWFISH_PI_H\n')
    print('#include <stdint.h>\n\n/* clang-format off */')
    print('static const uint32_t blowfish_pi_p[%d] = {' % P_WORDS)
    print(rows(words[:P_WORDS], 2) + '\n};\n')
    print('static const uint32_t blowfish_pi_s[%d][%d] = {'
          % (BOXES, BOX_WORDS))
    print(',\n'.join('  {\n' + rows(b, 4) + '\n  }' for b in boxes) + '\n};')
    print('/* clang-format on */\n\n#endif')


main()
