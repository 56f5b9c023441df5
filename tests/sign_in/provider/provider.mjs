// The OpenID Connect provider of the tests: oidc-provider over TLS, with its own login form.
// People are in the JSON file PEOPLE (subject → claims), which is read again for each answer.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { Provider, interactionPolicy } from 'oidc-provider';

const { ISSUER, PEOPLE, CERTIFICATE, CLIENT_SECRET } = process.env;
const people = () => JSON.parse(readFileSync(PEOPLE, 'utf8'));

// Nobody is asked for consent, although every program of this machine could listen on another port.
const policy = interactionPolicy.base();
policy.get('consent').checks.remove('native_client_prompt');

const provider = new Provider(ISSUER, {
  clients: [{
    client_id: 'limits',
    client_secret: CLIENT_SECRET,
    // Redirections to any port of this machine (RFC 8252, section 7.3).
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/admin/sign-in/callback/'],
    post_logout_redirect_uris: ['http://127.0.0.1/admin/login/'],
    token_endpoint_auth_method: 'client_secret_post',
  }],
  claims: {
    openid: ['sub', 'groups'], profile: ['preferred_username', 'given_name', 'family_name'], email: ['email', 'email_verified'],
  },
  pkce: { required: () => true },
  findAccount: (_, id) => (id in people() ? { accountId: id, claims: () => ({ sub: id, ...people()[id] }) } : undefined),
  async loadExistingGrant(ctx) {
    const grant = new provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid profile email');
    await grant.save();
    return grant;
  },
  interactions: { policy },
  features: { rpInitiatedLogout: { enabled: true } },
  cookies: { keys: ['of the tests'] },
});

const tls = { key: readFileSync(CERTIFICATE), cert: readFileSync(CERTIFICATE) };
createServer(tls, provider.callback()).listen(new URL(ISSUER).port, '127.0.0.1', () => console.log('listening'));
