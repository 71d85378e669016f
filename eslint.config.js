'use strict'

const neostandard = require('neostandard')

module.exports = [
  { ignores: ['build/', 'coverage/', 'prebuilds/', 'test/c/build/', '**/*.ts'] },
  ...neostandard(),
  { files: ['script/libssh-gcm'] }, // the one script without .js
  {
    files: ['test/**/*.js'],
    languageOptions: {
      globals: Object.fromEntries(
        ['after', 'afterEach', 'before', 'beforeEach', 'describe', 'it']
          .map((name) => [name, 'readonly']))
    }
  }
]
