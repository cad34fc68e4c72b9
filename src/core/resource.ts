/** How a target's TLS is checked. `verify-full` is the default off loopback. */
export type TlsMode = 'verify-full' | 'verify-ca' | 'require' | 'disable'
export type Strength = 'sync' | 'balanced' | 'kernel'
export type Attribution = 'application_name' | 'set_role' | 'none'
/** Where a secret comes from. Only the supervisor resolves one, for one session's login. */
export type SecretSource =
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'store'; readonly name: string }
  | { readonly kind: 'none' }
/** `as`: how a request carries it; absent where the protocol has its own login. */
export interface Credential { readonly username: string; readonly password: SecretSource; readonly as?: { readonly kind: 'bearer' | 'basic' } | { readonly kind: 'header' | 'query'; readonly name: string } }
/** Weakest first: a session gets the first whose class covers what its policies allow. */
export type Credentials = { readonly [C in 'read' | 'write' | 'admin']?: Credential }
/** `path` for a unix socket, else host and port. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string }
export interface ResourceLimits {
  readonly statementMs: number
  readonly idleMs: number
  /** Open sessions per identity. */
  readonly sessions: number
}
/** A named thing to reach. `target` is what its protocol's own zod schema parsed. */
export interface Resource {
  readonly name: string
  readonly protocol: string
  readonly addresses: readonly Address[]
  readonly database: string | null
  /** Whether a client may name another database as `resource/database`. */
  readonly databases: readonly string[] | 'any'
  readonly tls: TlsMode
  /** PEM of the CA that signs the target, when it is not a public one. */
  readonly ca: string | null
  readonly credentials: Credentials
  readonly attribution: Attribution
  /** Signatures `schema.name(type, …)` known harmless beside the built-in list. */
  readonly functions: readonly string[]
  /** `schema.name` of views that may be read though a masked column decides about their rows. */
  readonly views?: readonly string[]
  readonly limits: ResourceLimits
  readonly labels: Readonly<Record<string, string>>
  /** Columns by tag, as field patterns; absent: none are declared. */
  readonly tags?: Readonly<Record<string, readonly string[]>>
  readonly record: Strength
  readonly retainMs: number
  /** How long a session may outlive its credential (`session: { max }`), 0 = not at all. */
  readonly sessionMaxMs: number
  /** Declared in the file (read-only in the API) or in the store. */
  readonly origin: 'file' | 'store'
  /** Why no session may open on it (its protocol is not built, …); absent or null when one may. */
  readonly refused?: string | null
}
