'use strict'

/** Our options as the addon wants them. Pure. */

const NATIVE_OPTIONS = ['kex', 'ciphers', 'macs', 'rekeyBytes', 'rekeySeconds', 'windowMax', 'windowTotal', 'maxChannels', 'maxAuthAttempts']

/** Names that are not set are left out: the engine has its own defaults. */
function nativeOptions (options, more) {
  const out = { ...more }
  if (options.sshEngine !== undefined) out.engine = options.sshEngine
  for (const name of NATIVE_OPTIONS) if (options[name] !== undefined) out[name] = options[name]
  return out
}

module.exports = { nativeOptions }
