// Command grpcget makes one gRPC call and prints what comes back, message by
// message. The messages are not decoded: they are text.
//
//	grpcget https://HOST/SERVICE/METHOD
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "grpcget: %v\n", err)
		os.Exit(1)
	}
}

// run makes a call that has one message there and any number back.
func run(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(u.Host+":443", grpc.WithTransportCredentials(credentials.NewTLS(nil)))
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, u.Path, grpc.ForceCodec(plain{}))
	if err != nil {
		return err
	}
	if err := stream.SendMsg([]byte("secret")); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for {
		var message []byte
		err := stream.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s\n", message)
	}
}

// plain is a codec that leaves messages as they are.
type plain struct{}

// Name implements encoding.Codec. It is a part of the content type.
func (plain) Name() string { return "proto" }

// Marshal implements encoding.Codec.
func (plain) Marshal(v any) ([]byte, error) {
	text, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("marshal %T: not bytes", v)
	}
	return text, nil
}

// Unmarshal implements encoding.Codec.
func (plain) Unmarshal(data []byte, v any) error {
	text, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("unmarshal to %T: not bytes", v)
	}
	*text = append([]byte(nil), data...)
	return nil
}
