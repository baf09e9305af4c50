// One request with node's https module: node https.mjs METHOD URL
import https from 'node:https';

const [method, url] = process.argv.slice(2);
const request = https.request(url, { method }, (answer) => {
  console.log(answer.statusCode);
  answer.pipe(process.stdout);
});
request.on('error', (error) => {
  console.error(error);
  process.exitCode = 1;
});
request.end(method === 'POST' ? 'secret' : undefined);
