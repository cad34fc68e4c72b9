/** Base of all our errors. `message` is safe for a client only when `public` is true. */
export class SluiceError extends Error {
  readonly code: string
  readonly public: boolean
  constructor(code: string, message: string, options: { cause?: unknown; public?: boolean } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.public = options.public ?? true
  }
}
/** A credential was not accepted. The text never says which check of a secret failed beyond what helps its owner. */
export class NotAuthenticated extends SluiceError { constructor(message: string, cause?: unknown) { super('NOT_AUTHENTICATED', message, { cause }) } }
/** Known identity, but no policy lets it do this. */
export class NotAllowed extends SluiceError { constructor(message: string) { super('NOT_ALLOWED', message) } }
/** No such resource, or none this identity may know of: the two are indistinguishable. */
export class NoSuchResource extends SluiceError { constructor(message: string) { super('NO_SUCH_RESOURCE', message) } }
/** The target could not be reached or refused our login. */
export class Unreachable extends SluiceError { constructor(message: string, cause?: unknown) { super('UNREACHABLE', message, { cause }) } }
/** The bytes cannot be this protocol, or pass a named limit. The connection ends; nothing more is forwarded. */
export class Malformed extends SluiceError { constructor(message: string) { super('MALFORMED', message) } }
/** The record can't be written: nothing may run. */
export class RecordFailed extends SluiceError { constructor(message: string, cause?: unknown) { super('RECORD_FAILED', message, { cause }) } }
/** Configuration or policy text is wrong; `where` is `file:line:column`. */
export class ConfigInvalid extends SluiceError {
  readonly where: string
  constructor(message: string, where: string) { super('CONFIG_INVALID', `${where}: ${message}`); this.where = where }
}
/** Everything that is wrong with a file at once; the message has one line per mistake. */
export class ConfigErrors extends SluiceError {
  readonly list: readonly ConfigInvalid[]
  constructor(list: readonly ConfigInvalid[]) { super('CONFIG_INVALID', list.map(error => error.message).join('\n')); this.list = list }
}
