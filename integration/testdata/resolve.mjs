// Looks a name up: node resolve.mjs lookup|resolve NAME
// `lookup` is getaddrinfo in a thread, `resolve` is c-ares.
import dns from 'node:dns/promises';

const [way, name] = process.argv.slice(2);
const found = way === 'lookup' ? await dns.lookup(name, { all: true }) : await dns.resolve4(name);
for (const one of found) {
  console.log(one.address ?? one);
}
