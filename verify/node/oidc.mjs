// An OAuth 2 server on a loopback port, by oidc-provider. It prints one line of
// JSON once it listens, {"issuer": …}, and ends with its standard input.
//
// CLIENTS holds the clients' metadata (RFC 7591) as a JSON array. POST /seed
// with a client's id in the query answers a new refresh token, as a browser
// login would have brought it.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const server = createServer((request, response) => handle(request, response));
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const scope = 'openid offline_access';
const provider = new Provider(issuer, {
  clients: JSON.parse(process.env.CLIENTS),
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
  },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access', 'api'],
  ttl: { AccessToken: 3600, ClientCredentials: 3600, Grant: 86400, IdToken: 3600, RefreshToken: 86400 },
});

async function seed(clientId) {
  const client = await provider.Client.find(clientId);
  const grant = new provider.Grant({ accountId: 'user', clientId });
  grant.addOIDCScope(scope);
  const grantId = await grant.save();
  return new provider.RefreshToken({
    accountId: 'user', authTime: Math.floor(Date.now() / 1000), client, grantId, gty: 'authorization_code', scope,
  }).save();
}

const oauth = provider.callback();
async function handle(request, response) {
  const { pathname, searchParams } = new URL(request.url, issuer);
  if (request.method === 'POST' && pathname === '/seed') {
    response.end(await seed(searchParams.get('client_id')));
    return;
  }
  oauth(request, response);
}

console.log(JSON.stringify({ issuer }));
process.stdin.resume().on('end', () => process.exit(0));
