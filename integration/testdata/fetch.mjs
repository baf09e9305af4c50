// One request with node's fetch: node fetch.mjs METHOD URL
const [method, url] = process.argv.slice(2);
const answer = await fetch(url, { method, body: method === 'POST' ? 'secret' : undefined });
console.log(answer.status);
for await (const part of answer.body) {
  process.stdout.write(part);
}
