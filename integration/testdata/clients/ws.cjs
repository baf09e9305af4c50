// Shows what comes by a WebSocket until it is closed: node ws.cjs METHOD URL
// The module is Debian's, which another Node than Debian's does not look for.
const WebSocket = require('/usr/share/nodejs/ws');

const socket = new WebSocket(process.argv[3]);
socket.on('message', (message) => console.log(String(message)));
socket.on('error', (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
