// Reads "<seconds> [fresh]" lines and answers each with the access token that
// the snippet has at that time, and "<seconds> get <url>" lines with the answer.
import { createInterface } from 'node:readline';
import { Token } from './snippet.mjs';

let clock = 0;
const token = new Token(process.env.SECRET_ID, { now: () => clock });
for await (const line of createInterface({ input: process.stdin })) {
  const [seconds, how, url] = line.split(' ');
  clock = Number(seconds) * 1000;
  try {
    if (how === 'get') {
      const response = await token.get(url);
      console.log(response.ok ? await response.text() : 'error');
    } else {
      console.log((await token.read({ fresh: how === 'fresh' })).access_token);
    }
  } catch {
    console.log('error');
  }
}
