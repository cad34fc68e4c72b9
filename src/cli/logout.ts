// `sluice logout`: forgets the credential here, and takes its renewal back at the provider where that is possible.
import { type Command, misused } from './command.ts'
import { line, show } from './output.ts'
import { findProfile, profileName, removeProfile, type SignIn } from './profile.ts'
import { provider } from './renew.ts'
import * as oidc from 'openid-client'

export const command: Command = {
  usage: 'logout [--profile NAME] [--json]',
  async run(given) {
    if (given.words.length > 0) throw misused(command)
    const name = profileName(given)
    const profile = findProfile(name)
    removeProfile(name)
    // The provider may be away or know no revocation: the credential is forgotten here in any case.
    if (profile?.issuer != null && profile.refreshToken !== null) await revoke(profile.issuer, profile.refreshToken).catch(() => {})
    show(given, { profile: name, wasSignedIn: profile !== null }, () => line(profile === null ? 'was not signed in' : 'signed out'))
  },
}

async function revoke(signIn: SignIn, refreshToken: string): Promise<void> { await oidc.tokenRevocation(await provider(signIn), refreshToken) }
