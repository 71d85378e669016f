'use strict'

/**
 * Every call of the log in lib/, by its source: who logs what, at which level,
 * with which keys. An event has to stand there in so many words, alone or as
 * one of a choice; then no line can come that nobody has found here.
 */

const fs = require('node:fs')
const path = require('node:path')
const ts = require('typescript')
const { root } = require('./log-lines')

const LEVELS = { error: 'error', warn: 'warn', info: 'info', debug: 'debug' }

// What rarely() gives is called so; it adds how many lines it has left out.
const RARELY = { _warn: 'warn', _note: 'info', _noteRefusal: 'info' }

// What is spread into the fields, everywhere: who is at the other end.
const SPREAD = ['remote_addr', 'remote_port']

function sourceFiles (dir = path.join(root, 'lib')) {
  return fs.readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(dir, entry.name)
    if (entry.isDirectory()) return sourceFiles(file)
    return entry.name.endsWith('.js') ? [file] : []
  })
}

/** const NAME = { key: 'text', … } of a file, by name. */
function tablesOf (source) {
  const tables = new Map()
  for (const statement of source.statements) {
    if (!ts.isVariableStatement(statement)) continue
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (initializer !== undefined && ts.isObjectLiteralExpression(initializer)) tables.set(name.getText(), initializer)
    }
  }
  return tables
}

/** Names of a file that rarely() has given: name => level. */
function rareOf (text) {
  const rare = { ...RARELY }
  for (const [, name, level = 'warn'] of text.matchAll(/(\w+) = rarely\([^,)]*(?:, '(\w+)')?(?:, \{[^}]*\})?\)/g)) rare[name] = level
  return rare
}

/** The texts that an expression may be; throws where they cannot be seen. */
function textsOf (node, tables) {
  if (ts.isStringLiteralLike(node)) return [node.text]
  if (ts.isParenthesizedExpression(node)) return textsOf(node.expression, tables)
  if (ts.isConditionalExpression(node)) return [...textsOf(node.whenTrue, tables), ...textsOf(node.whenFalse, tables)]
  if (ts.isPropertyAccessExpression(node)) {
    const row = tables.get(node.expression.getText())?.properties.find((one) => one.name.getText() === node.name.text)
    if (row !== undefined) return textsOf(row.initializer, tables)
  }
  const table = ts.isElementAccessExpression(node) ? tables.get(node.expression.getText()) : undefined
  if (table !== undefined) return table.properties.flatMap(({ initializer }) => textsOf(initializer, tables))
  throw new Error(`${node.getText()}: an event must stand there as it is, so that docs/logs.md can have it`)
}

function keysOf (node) {
  if (node === undefined) return []
  if (!ts.isObjectLiteralExpression(node)) throw new Error(`${node.getText()}: the keys must stand there as they are`)
  return node.properties.flatMap((one) => ts.isSpreadAssignment(one) ? SPREAD : [one.name.getText()])
}

/** { level, event, fields, more } of a call that logs, as nodes, or null; more: keys of rarely(). */
function logCall (node, rare) {
  if (!ts.isCallExpression(node)) return null
  const { expression, arguments: args } = node
  const isMethod = ts.isPropertyAccessExpression(expression)
  const name = isMethod ? expression.name.text : expression.getText()
  if (name === 'put' && args.length === 3 && ts.isStringLiteral(args[0])) return { level: args[0].text, event: args[1], fields: args[2], more: [] }
  if (args.length === 0 || args.length > 2) return null
  if (Object.hasOwn(rare, name)) return { level: rare[name], event: args[0], fields: args[1], more: ['suppressed'] }
  const isLog = isMethod && /log$/i.test(expression.expression.getText())
  return isLog && Object.hasOwn(LEVELS, name) ? { level: LEVELS[name], event: args[0], fields: args[1], more: [] } : null
}

function callsIn (file) {
  const text = fs.readFileSync(file, 'utf8')
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS)
  const tables = tablesOf(source)
  const rare = rareOf(text)
  const calls = []
  const visit = (node) => {
    const call = logCall(node, rare)
    if (call !== null) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart())
      const where = `${path.relative(root, file)}:${line + 1}`
      try {
        const keys = [...keysOf(call.fields), ...call.more]
        for (const event of textsOf(call.event, tables)) calls.push({ where, level: call.level, event, keys })
      } catch (err) {
        throw new Error(`${where}: ${err.message}`)
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return calls
}

/** [{ where, level, event, keys }] */
function logCalls () {
  return sourceFiles().flatMap(callsIn)
}

module.exports = { logCalls }
