'use strict'

/** A channel that the far end has not answered for yet. */

const { canceled, fail } = require('./errors')
const { channelOpen, channelOver } = require('./trace')

/** An open() that waits for the far end. Owner of its channel until then. */
class Opening {
  /** done(err, channel): once; the channel is open, and its owner the caller's to set. */
  constructor (channel, ms, signal, done) {
    this._channel = channel
    this._signal = signal
    this._done = done
    this._error = null
    this._timer = setTimeout(onOpenLimit, ms, this)
    this._onAbort = () => this._giveUp(canceled('channel', signal.reason))
    signal?.addEventListener('abort', this._onAbort, { once: true })
    channel.owner = this
  }

  onopen () {
    this._channel.owner = null
    this._finish(null, this._channel)
  }

  onclose (err) {
    this._finish(this._error ?? err ?? fail('CLOSED', 'channel', 'the channel was closed'))
  }

  _giveUp (err) {
    this._error = err
    this._channel.owner = null
    this._channel.close()
    this._finish(err)
  }

  _finish (err, channel) {
    clearTimeout(this._timer)
    this._signal?.removeEventListener('abort', this._onAbort)
    if (err) channelOver(this._channel, err, true)
    else channelOpen(this._channel)
    this._done(err, channel)
  }
}

function onOpenLimit (opening) {
  opening._giveUp(fail('TIMEOUT', 'channel', 'the channel did not open in time'))
}

module.exports = { Opening }
