// A page in Chromium, driven by Playwright: node chromium.cjs PLAYWRIGHT ALLOWED DENIED [SWITCH...]
// Prints one line for each thing that the page did, and what came of it.
const [playwright, allowed, denied, ...args] = process.argv.slice(2);
const { chromium } = require(playwright);

async function run(page) {
  const said = [];
  page.on('console', (message) => said.push(message.text()));

  await page.goto(`https://${allowed}/page`);
  console.log('title:', await page.title());
  console.log('fetch:', await page.evaluate(async () => (await fetch('/json')).text()));

  // What a page may not read, the developer's tools still show.
  const answer = page.waitForResponse(`https://${denied}/collect`);
  await page.evaluate(
    (host) => fetch(`https://${host}/collect`, { method: 'POST', body: 'secret', mode: 'no-cors' }).then(() => 0),
    denied,
  );
  console.log('denied fetch:', (await answer).status());

  const socket = (host) =>
    page.evaluate(
      (url) =>
        new Promise((resolve) => {
          const one = new WebSocket(url);
          one.onopen = () => one.send('through the socket');
          one.onmessage = (event) => resolve(event.data);
          one.onerror = () => resolve('refused');
        }),
      `wss://${host}/socket`,
    );
  console.log('socket:', await socket(allowed));
  console.log('denied socket:', await socket(denied));
  console.log('console:', said.filter((line) => line.includes('WebSocket')).join(' '));

  const events = await page.evaluate(
    () =>
      new Promise((resolve) => {
        const seen = [];
        const source = new EventSource('/stream/3');
        source.onmessage = (event) => seen.push(event.data);
        source.onerror = () => {
          source.close();
          resolve(seen.join(' '));
        };
      }),
  );
  console.log('events:', events);

  await page.goto(`https://${denied}/page`);
  console.log('denied page:', await page.innerText('body'));
}

(async () => {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
  try {
    await run(await browser.newPage());
  } finally {
    await browser.close();
  }
})();
