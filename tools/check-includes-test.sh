#!/usr/bin/env bash
# Shows that check-includes.sh can fail: a tiny tree that obeys, then the same
# tree with one line too many, once for each rule.
set -euo pipefail
export LC_ALL=C

check=$(cd "$(dirname "$0")" && pwd)/check-includes.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

plant() {
  rm -rf "${tree:?}"/*
  (
    cd "$tree"
    mkdir -p csrc/{core,net,proto,ssh/libssh,ssh/native,napi} lib bin/commands
    printf '#include <stddef.h>\n' > csrc/core/err.h
    printf '#include <uv.h>\n\n#include "core/err.h"\n' > csrc/core/loop.h
    printf '#include "core/loop.h"\n' > csrc/core/stream_impl.h
    printf '#include "net/tls.h"\n\n#include <openssl/ssl.h>\n' > csrc/net/tls.c
    printf '#include "core/loop.h"\n' > csrc/net/net.h
    printf '#include "core/loop.h"\n' > csrc/net/tls.h
    printf '#include "proto/socks_codec.h"\n\n#include <string.h>\n\n#include "core/err.h"\n' > csrc/proto/socks_codec.c
    printf '#include <stdint.h>\n' > csrc/proto/socks_codec.h
    printf '#include "core/stream_impl.h"\n' > csrc/proto/socks.c
    printf '#include <openssl/evp.h>\n\n#include "ssh/ssh.h"\n' > csrc/ssh/key.c
    printf '#include "core/loop.h"\n' > csrc/ssh/ssh.h
    printf '#include <libssh/libssh.h>\n\n#include "ssh/ssh.h"\n' > csrc/ssh/libssh/client.c
    printf '#include "ssh/ssh.h"\n' > csrc/ssh/native/kex.c
    printf '#include <node_api.h>\n\n#include "ssh/ssh.h"\n' > csrc/napi/addon.c
    printf '#include <node_api.h>\n\n#include "core/stream_impl.h"\n' > csrc/napi/duplex_wrap.c
    printf "require('./build/Release/alknet.node')\n" > lib/binding.js
    printf "require('./binding')\n" > lib/index.js
    printf "require('../lib/index.js')\n" > bin/alknet.js
    printf "require('../../lib')\n" > bin/commands/serve.js
  )
}

# breaks FILE LINE: with LINE added, the check fails and names FILE.
breaks() {
  plant
  printf '%s\n' "$2" >> "$tree/$1"
  if out=$("$check" "$tree" 2>&1); then
    echo "not noticed: $1 with $2" >&2
    failed=1
  elif ! grep -qF "$1" <<<"$out"; then
    echo "complained of something else: $1 with $2: $out" >&2
    failed=1
  fi
}

plant
if ! out=$("$check" "$tree" 2>&1); then
  echo "the obedient tree was refused: $out" >&2
  failed=1
fi

breaks csrc/core/loop.h '#include "net/net.h"'
breaks csrc/core/loop.h '#include <node_api.h>'
breaks csrc/core/loop.h '#include <openssl/evp.h>'
breaks csrc/core/loop.h '  #  include "ssh/ssh.h"'
breaks csrc/core/loop.h '#include "uv.h"'
breaks csrc/core/loop.h '#include HEADER'
breaks csrc/net/net.h '#include <openssl/evp.h>'
breaks csrc/net/tls.c '#include "proto/socks_codec.h"'
breaks csrc/net/tls.c '#include "ssh/ssh.h"'
breaks csrc/proto/socks.c '#include "net/net.h"'
breaks csrc/proto/socks.c '#include <openssl/evp.h>'
breaks csrc/proto/socks_codec.c '#include <uv.h>'
breaks csrc/proto/socks_codec.c '#include "core/stream_impl.h"'
breaks csrc/ssh/key.c '#include <libssh/libssh.h>'
breaks csrc/ssh/key.c '#include "net/net.h"'
breaks csrc/ssh/key.c '#include "ssh/libssh/session.h"'
breaks csrc/ssh/libssh/client.c '#include "ssh/native/kex.h"'
breaks csrc/ssh/libssh/client.c '#include "proto/socks_codec.h"'
breaks csrc/ssh/native/kex.c '#include "ssh/libssh/session.h"'
breaks csrc/ssh/native/kex.c '#include <libssh/libssh.h>'
breaks csrc/napi/addon.c '#include <libssh/libssh.h>'
breaks csrc/napi/addon.c '#include <openssl/evp.h>'
breaks csrc/napi/addon.c '#include "core/stream_impl.h"'
breaks csrc/napi/addon.c '#include "ssh/libssh/session.h"'
breaks lib/index.js "require('../build/Release/alknet.node')"
breaks bin/alknet.js "require('../lib/options')"
breaks bin/commands/serve.js "require('../../lib/client.js')"

if [ "$failed" = 0 ]; then echo 'check-includes notices every kind of trespass'; fi
exit "$failed"
