{
  "variables": {
    # 1 where libssh can be linked: then its engine is built in too.
    "alk_libssh%": "<!(node script/libssh)"
  },
  "targets": [
    {
      "target_name": "alknet",
      "sources": ["<!@(node -p \"require('fs').readdirSync('csrc', { recursive: true }).filter(f => f.endsWith('.c') && !f.startsWith('ssh/libssh/')).map(f => 'csrc/' + f).sort().join(' ')\")"],
      # Node-API's headers are pinned where we work; where the package is installed, Node's own have them, too.
      "include_dirs": ["csrc", "<!(node -p \"try { require('node-api-headers').include_dir } catch { 'csrc' }\")"],
      "defines": ["_GNU_SOURCE", "NAPI_VERSION=8", "NODE_GYP_MODULE_NAME=alknet"],
      "cflags": ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden", "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
      "cflags!": ["-O3"],
      "ldflags": ["-Wl,--exclude-libs,ALL", "-Wl,-Bsymbolic", "-Wl,--gc-sections", "-Wl,-z,relro,-z,now"],
      "conditions": [
        ["alk_libssh==1", {
          "sources": ["<!@(node -p \"require('fs').readdirSync('csrc/ssh/libssh').filter(f => f.endsWith('.c')).map(f => 'csrc/ssh/libssh/' + f).sort().join(' ')\")"],
          # The second: 1 when this libssh refuses a packet whose AES-GCM tag is
          # wrong.
          "defines": ["ALK_LIBSSH", "ALK_LIBSSH_GCM=<!(node script/libssh-gcm)"],
          # libssh is static, OpenSSL and zlib are Node's own: no second copy of
          # either is in the process.
          "libraries": ["-l:libssh.a"],
          "ldflags": ["-Wl,--wrap=_ssh_buffer_pack", "-Wl,--wrap=ssh_get_random", "-Wl,--wrap=poll", "-Wl,--wrap=recv", "-Wl,--wrap=send", "-Wl,--wrap=close", "-Wl,--wrap=fcntl"]
        }]
      ]
    }
  ]
}
