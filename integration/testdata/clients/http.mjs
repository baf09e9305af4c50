// One request with node's http module: node http.mjs METHOD URL
import http from 'node:http';

const [method, url] = process.argv.slice(2);
const request = http.request(url, { method }, (answer) => {
  console.log(answer.statusCode);
  answer.pipe(process.stdout);
});
request.on('error', (error) => {
  console.error(error);
  process.exitCode = 1;
});
request.end(method === 'POST' ? 'secret' : undefined);
