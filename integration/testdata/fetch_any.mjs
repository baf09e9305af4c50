// One request: fetch_any.mjs METHOD URL, for runtimes other than Node.
const args = globalThis.Deno ? Deno.args : process.argv.slice(2);
const answer = await fetch(args[1], { method: args[0] });
console.log(answer.status);
console.log(await answer.text());
