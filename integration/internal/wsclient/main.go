// Command wsclient has messages sent back over WebSocket, and prints what came
// of each.
//
//	wsclient URL [ADDRESS:PORT]
//
// With an address it is that which is dialled, in place of the URL's host.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coder/websocket"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "wsclient: %v\n", err)
		os.Exit(1)
	}
}

// run makes two connections: one that the client closes, and one that the
// server closes.
func run(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, last := range []func(context.Context, *websocket.Conn) error{closeSelf, haveClosed} {
		conn, answer, err := open(ctx, args)
		if err != nil {
			return err
		}
		fmt.Println("open", answer.Status, conn.Subprotocol(), answer.Header.Get("Sec-WebSocket-Extensions"))
		if err := exchange(ctx, conn); err != nil {
			return err
		}
		if err := last(ctx, conn); err != nil {
			return err
		}
	}
	return nil
}

// open shakes hands.
func open(ctx context.Context, args []string) (*websocket.Conn, *http.Response, error) {
	transport := &http.Transport{}
	if len(args) > 1 {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", args[1])
		}
	}
	conn, answer, err := websocket.Dial(ctx, args[0], &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"other", "echo"},
		CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		if answer != nil {
			body, _ := io.ReadAll(answer.Body)
			fmt.Printf("refused %s\n%s\n", answer.Status, body)
		}
		return nil, nil, err
	}
	conn.SetReadLimit(64 << 20)
	return conn, answer, nil
}

// exchange sends messages of all sizes that frames have (RFC 6455 §5.2), both
// kinds.
func exchange(ctx context.Context, conn *websocket.Conn) error {
	for _, size := range []int{0, 1, 125, 126, 65_535, 65_536, 8 << 20} {
		for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			sent := bytes.Repeat([]byte("frame "), size/6+1)[:size]
			if err := conn.Write(ctx, kind, sent); err != nil {
				return err
			}
			gotKind, got, err := conn.Read(ctx)
			if err != nil {
				return err
			}
			fmt.Println(gotKind, len(got), gotKind == kind && bytes.Equal(got, sent))
		}
	}
	return nil
}

// closeSelf ends the connection, after a ping.
func closeSelf(ctx context.Context, conn *websocket.Conn) error {
	conn.CloseRead(ctx) // a pong is seen only by who reads
	fmt.Println("ping", conn.Ping(ctx))
	fmt.Println("closed", conn.Close(4000, "enough"))
	return nil
}

// haveClosed asks the server to end the connection.
func haveClosed(ctx context.Context, conn *websocket.Conn) error {
	if err := conn.Write(ctx, websocket.MessageText, []byte("close")); err != nil {
		return err
	}
	_, _, err := conn.Read(ctx)
	fmt.Println("closed by the server", websocket.CloseStatus(err), err)
	return nil
}
