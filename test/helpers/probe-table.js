'use strict'

/**
 * What a web server can be asked, so that it shows which one it is. A row is
 * [name, what is sent]; `stays`: so many answers, after which the connection is
 * still there.
 */

const HOST = 'Host: localhost\r\n'
const get = (path = '/', fields = HOST, rest = '') => `GET ${path} HTTP/1.1\r\n${fields}\r\n${rest}`
const CHROME = 'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n'
const FIREFOX = 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0\r\n'
const MSIE = (version, more = '') => `User-Agent: Mozilla/4.0 (compatible; MSIE ${version}; Windows NT 5.1${more})\r\n`
const POST = (fields, body = '') => `POST /x HTTP/1.1\r\n${HOST}${fields}\r\n${body}`

/** Answers that leave the connection open: [name, bytes, how many answers]. */
const staying = [
  ['GET /', get()],
  ['a path', get('/index.html')],
  ['a path with a query', get('/a/b?c=d&e=%zz')],
  ['a path that is quoted', get('/%61/%2e%2e/b')],
  ['a path that goes up again', get('/a/b/../../c')],
  ['a path with two slashes', get('//a//b/')],
  ['a dot at the end', get('/a/.')],
  ['a fragment', get('/a#b')],
  ['a plus', get('/+/a+b')],
  ['characters above 127', get('/\xe4\xff')],
  ['odd characters', get('/"<>\\^`{|}~')],
  ['an absolute target', get('http://localhost/x')],
  ['an absolute target with a port', get('https://localhost:443/x?y')],
  ['an absolute target without a path', get('http://localhost')],
  ['an absolute target with a query', get('http://localhost?x')],
  ['an absolute target with an address', get('http://[::1]:8080/')],
  ['Host of somebody else', get('/', 'Host: example.org:8443\r\n')],
  ['Host with an address', get('/', 'Host: [::1]:443\r\n')],
  ['Host in capitals and with a dot', get('/', 'HOST: LOCALHOST.\r\n')],
  ['LF alone', 'GET / HTTP/1.1\nHost: localhost\n\n'],
  ['many blanks', 'GET   /   HTTP/1.1   \r\nHost:    localhost   \r\n\r\n'],
  ['empty lines in front', `\r\n\n\r\n${get()}`],
  ['Chrome', get('/', HOST + CHROME)],
  ['Firefox', get('/', HOST + FIREFOX)],
  ['Internet Explorer', get('/', HOST + MSIE('8.0'))],
  ['an old Internet Explorer', get('/', HOST + MSIE('6.0'))],
  ['Opera that says it is another', get('/', HOST + MSIE('6.0', ') Opera 8.0'))],
  ['HEAD', `HEAD / HTTP/1.1\r\n${HOST}\r\n`],
  ['HEAD by Chrome', `HEAD / HTTP/1.1\r\n${HOST}${CHROME}\r\n`],
  ['POST without a body', POST('')],
  ['POST with a body', POST('Content-Length: 5\r\n', 'hello')],
  ['POST in chunks', POST('Transfer-Encoding: chunked\r\n', '5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n')],
  ['POST that expects 100', POST('Expect: 100-continue\r\nContent-Length: 5\r\n', 'hello')],
  ['GET with a body', get('/', `${HOST}Content-Length: 3\r\n`, 'abc')],
  ['OPTIONS', `OPTIONS / HTTP/1.1\r\n${HOST}\r\n`],
  ['PUT', `PUT /x HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nab`],
  ['DELETE', `DELETE /x HTTP/1.1\r\n${HOST}\r\n`],
  ['PROPFIND', `PROPFIND / HTTP/1.1\r\n${HOST}\r\n`],
  ['a method of nobody', `FOO-BAR_X /x HTTP/1.1\r\n${HOST}\r\n`],
  ['an upgrade to WebSocket', get('/', `${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n`)],
  ['an upgrade to h2c', get('/', `${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n`)],
  ['HTTP/1.0 that stays', `GET / HTTP/1.0\r\n${HOST}Connection: Keep-Alive\r\n\r\n`],
  ['HTTP/1.2', `GET / HTTP/1.2\r\n${HOST}\r\n`],
  ['HTTP/1.99', `GET / HTTP/1.99\r\n${HOST}\r\n`],
  ['a Range', get('/', `${HOST}Range: bytes=0-1\r\n`)],
  ['If-Modified-Since', get('/', `${HOST}If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n`)],
  ['names with odd characters', get('/', `${HOST}X_Y: 1\r\nX(): 2\r\n_: 3\r\nX: a\x01\xff\r\n`)],
  ['a field without a colon', get('/', `${HOST}X\r\n`)],
  ['a field without a value', get('/', `${HOST}X:\r\nY: \r\n`)],
  ['a field of 8000 bytes', get('/', `${HOST}X: ${'a'.repeat(8000)}\r\n`)],
  ['fields of 20000 bytes', get('/', `${HOST}${`X: ${'a'.repeat(1990)}\r\n`.repeat(10)}`)],
  ['a path of 8000 bytes', get(`/${'a'.repeat(8000)}`)],
  ['two at once', get() + get('/x'), 2],
  ['three at once, one with a body', get() + POST('Content-Length: 3\r\n', 'abc') + get('/', HOST + CHROME), 3],
  ['a hundred at once', get().repeat(100), 100]
]

/** After which the server ends the connection. */
const ending = [
  ['Connection: close', get('/', `${HOST}Connection: close\r\n`)],
  ['Connection: close and more behind', get('/', `${HOST}Connection: close\r\n`) + get()],
  ['POST and close', POST('Connection: close\r\nContent-Length: 5\r\n', 'hello')],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'],
  ['HTTP/1.0 with Host, HEAD', `HEAD /x HTTP/1.0\r\n${HOST}\r\n`],
  ['HTTP/0.9', 'GET /\r\n'],
  ['HTTP/0.9 with LF', 'GET /x\n'],
  ['HTTP/0.9 by another method', 'HEAD /\r\n'],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['no Host, HEAD', 'HEAD / HTTP/1.1\r\n\r\n'],
  ['two Hosts', get('/', `${HOST}${HOST}`)],
  ['an empty Host', get('/', 'Host:\r\n')],
  ['Host with a slash', get('/', 'Host: a/b\r\n')],
  ['Host with two dots', get('/', 'Host: a..b\r\n')],
  ['Host with a blank', get('/', 'Host: a b\r\n')],
  ['Chrome without Host', `GET / HTTP/1.1\r\n${CHROME}\r\n`],
  ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
  ['CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n'],
  ['CONNECT /', `CONNECT / HTTP/1.1\r\n${HOST}\r\n`],
  ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n`],
  ['a method in small letters', `get / HTTP/1.1\r\n${HOST}\r\n`],
  ['a method with a digit', `GET2 / HTTP/1.1\r\n${HOST}\r\n`],
  ['no path', `GET HTTP/1.1\r\n${HOST}\r\n`],
  ['a path without a slash', `GET x HTTP/1.1\r\n${HOST}\r\n`],
  ['a path that leads above the root', get('/../x')],
  ['the same, quoted', get('/a/%2e%2e/%2e%2e/x')],
  ['a path that is quoted badly', get('/%zz')],
  ['a NUL in the path', get('/a%00b')],
  ['a control character in the path', get('/a\x01b')],
  ['an absolute target without a host', get('http:///x')],
  ['HTTP/2.0', `GET / HTTP/2.0\r\n${HOST}\r\n`],
  ['HTTP/3', `GET / HTTP/3\r\n${HOST}\r\n`],
  ['HTTP/0.8', `GET / HTTP/0.8\r\n${HOST}\r\n`],
  ['HTTP/1.', `GET / HTTP/1.\r\n${HOST}\r\n`],
  ['HTTP/1.1000', `GET / HTTP/1.1000\r\n${HOST}\r\n`],
  ['http/1.1', `GET / http/1.1\r\n${HOST}\r\n`],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'],
  ['an SSH banner', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['an SSH client', `SSH-2.0-OpenSSH_9.6\r\n\0\0\x05\xdc\x0a\x14${'x'.repeat(400)}`],
  ['garbage', '\x8f\x01\x02\x03garbage\xff'],
  ['a NUL', '\0'],
  ['SOCKS5', '\x05\x01\x00'],
  ['RDP', '\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00'],
  ['SMTP', 'EHLO example.com\r\n'],
  ['a name with a blank', get('/', `${HOST}X Y: z\r\n`)],
  ['a name with nothing', get('/', `${HOST}: z\r\n`)],
  ['a folded field', get('/', `${HOST}X: y\r\n z\r\n`)],
  ['a NUL in a field', get('/', `${HOST}X: a\0b\r\n`)],
  ['CR alone in a field', get('/', `${HOST}X: a\rb\r\n`)],
  ['Content-Length that is none', POST('Content-Length: x\r\n')],
  ['Content-Length below nothing', POST('Content-Length: -1\r\n')],
  ['Content-Length that is empty', POST('Content-Length:\r\n')],
  ['Content-Length twice', POST('Content-Length: 1\r\nContent-Length: 1\r\n')],
  ['Content-Length beyond everything', POST('Content-Length: 99999999999999999999\r\n')],
  ['both lengths', POST('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n')],
  ['Transfer-Encoding of nobody', POST('Transfer-Encoding: gzip\r\n')],
  ['Transfer-Encoding twice', POST('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n')],
  ['Transfer-Encoding with HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['two Authorizations', get('/', `${HOST}Authorization: a\r\nAuthorization: b\r\n`)],
  ['an old Internet Explorer that posts', `POST / HTTP/1.1\r\n${HOST}${MSIE('6.0')}Content-Length: 1\r\n\r\na`],
  ['a body that is too large', POST('Content-Length: 1048577\r\nConnection: close\r\n', 'a'.repeat(100)), 'whole'],
  ['a path of 9000 bytes', get(`/${'a'.repeat(9000)}`)],
  ['a method of 9000 bytes', `${'A'.repeat(9000)} / HTTP/1.1\r\n${HOST}\r\n`],
  ['a field of 9000 bytes', get('/', `${HOST}X: ${'a'.repeat(9000)}\r\n`)],
  ['fields of 40000 bytes', get('/', `${HOST}${`X: ${'a'.repeat(1990)}\r\n`.repeat(20)}`)]
]

/** Without TLS, where there should be. */
const plain = [
  ['GET', get()],
  ['GET and more', get() + get()],
  ['HEAD', `HEAD / HTTP/1.1\r\n${HOST}\r\n`],
  ['PUT', `PUT / HTTP/1.1\r\n${HOST}\r\n`],
  ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n`],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n'],
  ['HTTP/0.9', 'GET /\r\n'],
  ['Chrome', get('/', HOST + CHROME)],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['an SSH banner', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['garbage', '\x01\x02\x03'],
  ['a NUL', '\0']
]

/** Instead of a ClientHello; whatever begins like one of TLS, or of SSL 2: [name, bytes, by how many of them nginx is decided]. */
const handshakes = [
  ['a record of nothing', '\x16\x03\x01\x00\x00'],
  ['a message that is none', '\x16\x03\x01\x00\x04abcd'],
  ['a record that is too long', '\x16\x03\x01\xff\xff'],
  ['a version of nobody', `\x16\x09\x09\x00\x05${'a'.repeat(20)}`, 5],
  ['SSL 2', '\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10'],
  ['garbage above 127', `\xff${'a'.repeat(40)}`, 5],
  ['an alert', '\x16\x03\x01\x00\x02\x02\x28'],
  ['HTTP behind the first byte', '\x16GET / HTTP/1.1\r\n\r\n', 5]
]

module.exports = { ending, get, handshakes, plain, staying }
