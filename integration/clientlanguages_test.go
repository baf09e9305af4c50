package integration

import "testing"

// scriptClient returns a client that is a script in testdata.
func scriptClient(name, exe, interpreter, file string) client {
	return client{name: name, exe: exe, command: func(t testing.TB, method, address string) []string {
		return []string{program(t, interpreter), shop.testdata(file), method, address}
	}}
}

// pythonClients returns the ways by which Python's programs make requests.
func pythonClients() []client {
	all := []client{
		scriptClient("python urllib", "python3", "python3", "urllib_client.py"),
		scriptClient("python http.client", "python3", "python3", "http_client.py"),
		scriptClient("python requests", "python3", "python3", "clients/requests_client.py"),
		scriptClient("python httpx", "python3", "python3", "clients/httpx_client.py"),
		scriptClient("python asyncio", "python3", "python3", "clients/asyncio_client.py"),
		scriptClient("python aiohttp", "python3", "python3", "clients/aiohttp_client.py"),
	}
	grpc := scriptClient("python gRPC", "python3", "python3", "clients/grpc_client.py")
	grpc.page, grpc.held, grpc.refused, grpc.shows = "/grpc.said/python", "/grpc.held", 1, "PERMISSION_DENIED"
	return append(all, grpc)
}

// nodeClients returns the ways by which Node's programs make requests.
func nodeClients() []client {
	plain := scriptClient("node http", "node", "node", "clients/http.mjs")
	plain.scheme = "http"
	socket := scriptClient("node ws", "node", "node", "clients/ws.cjs")
	socket.scheme, socket.page, socket.held, socket.refused, socket.shows = "wss", "/ws/node", "/ws/held", 1, "403"
	return []client{
		scriptClient("node fetch", "node", "node", "fetch.mjs"),
		scriptClient("node https", "node", "node", "https.mjs"),
		plain, socket,
	}
}

// languageClients returns what comes with other languages.
func languageClients() []client {
	return []client{
		{name: "Java HttpClient", exe: "java", command: func(t testing.TB, method, address string) []string {
			return java(t, method, address)
		}},
		{name: "Java HttpURLConnection", exe: "java", command: func(t testing.TB, method, address string) []string {
			return java(t, "HttpURLConnection", method, address)
		}},
		scriptClient("Ruby net/http", "ruby", "ruby", "clients/net_http.rb"),
		scriptClient("PHP streams", "php", "php", "clients/streams.php"),
		scriptClient("Perl LWP", "perl", "perl", "clients/lwp.pl"),
	}
}
