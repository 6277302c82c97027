// Sharetribe's own SDKs, driven by commands on the standard input, one a line.
// Each is answered with a line of JSON, {"status": …, "token": …}: the status
// of the SDK's last response and the token it holds.
//
//   login            with USERNAME and PASSWORD
//   show             an API call with whatever token the SDK holds or gets
//   trusted          exchanges the user's token for a trusted one, and shows with it
//   logout           revokes the refresh token
//
// ACCESS is integration or marketplace; TOKEN, if set, is the access token that
// the SDK starts with.
import { createInterface } from 'node:readline';
import integration from 'sharetribe-flex-integration-sdk';
import marketplace from 'sharetribe-flex-sdk';

const { ACCESS, BASE_URL, CLIENT_ID, CLIENT_SECRET, PASSWORD, TOKEN, USERNAME } = process.env;
const kind = ACCESS === 'integration' ? integration : marketplace;
const tokenStore = kind.tokenStore.memoryStore();
if (TOKEN) tokenStore.setToken({ access_token: TOKEN, token_type: 'Bearer' });
const sdk = kind.createInstance({ clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, baseUrl: BASE_URL, tokenStore });

const commands = {
  login: () => sdk.login({ username: USERNAME, password: PASSWORD }),
  show: () => sdk.marketplace.show(),
  logout: () => (ACCESS === 'integration' ? sdk.revoke() : sdk.logout()),
  trusted: async () => {
    const { data } = await sdk.exchangeToken();
    const store = kind.tokenStore.memoryStore();
    store.setToken(data);
    return kind.createInstance({ clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, baseUrl: BASE_URL, tokenStore: store }).marketplace.show();
  },
};

for await (const command of createInterface({ input: process.stdin })) {
  let status;
  try {
    ({ status } = await commands[command]());
  } catch (err) {
    if (!err.status) throw err;
    ({ status } = err);
  }
  console.log(JSON.stringify({ status: status ?? 200, token: tokenStore.getToken() ?? {} }));
}
