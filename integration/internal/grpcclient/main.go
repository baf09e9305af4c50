// Command grpcclient makes calls of every kind to the service that package
// origin serves, and prints what came of each.
//
//	grpcclient [-plain] HOST:PORT [ADDRESS:PORT]
//
// With an address it is that which is dialled, in place of the host.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "grpcclient: %v\n", err)
		os.Exit(1)
	}
}

// run connects and makes all calls.
func run() error {
	plain := flag.Bool("plain", false, "without TLS")
	flag.Parse()
	transport := credentials.NewTLS(nil)
	if *plain {
		transport = insecure.NewCredentials()
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(transport)}
	if at := flag.Arg(1); at != "" {
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", at)
		}))
	}
	conn, err := grpc.NewClient("passthrough:///"+flag.Arg(0), options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := pb.NewTestServiceClient(conn)
	for _, call := range []func(context.Context, pb.TestServiceClient) error{
		unary, clientStream, serverStream, duplex, failure, deadline, cancelled, unimplemented,
	} {
		if err := call(ctx, client); err != nil {
			return err
		}
	}
	return nil
}

// unary is one message each way, large ones, with metadata both ways.
func unary(ctx context.Context, client pb.TestServiceClient) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "x-echo", "there and back", "x-echo-bin", "\x00\xff")
	var head, tail metadata.MD
	answer, err := client.UnaryCall(ctx, &pb.SimpleRequest{
		ResponseSize: 300_000, Payload: &pb.Payload{Body: make([]byte, 200_000)},
	}, grpc.Header(&head), grpc.Trailer(&tail))
	fmt.Println("unary", len(answer.GetPayload().GetBody()), head["x-echo"], fmt.Sprintf("%x", tail["x-echo-bin"]), err)
	return nil
}

// clientStream is several messages to the server and one back.
func clientStream(ctx context.Context, client pb.TestServiceClient) error {
	stream, err := client.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	for i := range 4 {
		if err := stream.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, 1000*(i+1))}}); err != nil {
			return err
		}
	}
	answer, err := stream.CloseAndRecv()
	fmt.Println("client stream", answer.GetAggregatedPayloadSize(), err)
	return nil
}

// serverStream is one message to the server and several back.
func serverStream(ctx context.Context, client pb.TestServiceClient) error {
	stream, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{ResponseParameters: sizes(31415, 9, 2653, 58979)})
	if err != nil {
		return err
	}
	for {
		answer, err := stream.Recv()
		fmt.Println("server stream", len(answer.GetPayload().GetBody()), err)
		if err != nil {
			return nil
		}
	}
}

// duplex sends each message when the answer to the one before has come.
func duplex(ctx context.Context, client pb.TestServiceClient) error {
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for _, size := range []int32{5, 70_000, 1} {
		if err := stream.Send(&pb.StreamingOutputCallRequest{ResponseParameters: sizes(size)}); err != nil {
			return err
		}
		answer, err := stream.Recv()
		fmt.Println("duplex", len(answer.GetPayload().GetBody()), err)
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("end of stream: %w", err)
	}
	fmt.Println("duplex ends", stream.Trailer()["x-count"])
	return nil
}

// failure is an error of the service's own, before and within a stream.
func failure(ctx context.Context, client pb.TestServiceClient) error {
	ask := &pb.EchoStatus{Code: 9, Message: "precondition: \t☺ failed"}
	_, err := client.UnaryCall(ctx, &pb.SimpleRequest{ResponseStatus: ask})
	fmt.Println("failure", err)
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&pb.StreamingOutputCallRequest{ResponseParameters: sizes(3), ResponseStatus: ask}); err != nil {
		return err
	}
	for err == nil {
		_, err = stream.Recv()
		fmt.Println("failure in a stream", err)
	}
	return nil
}

// deadline is a call that takes longer than it may.
func deadline(ctx context.Context, client pb.TestServiceClient) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	stream, err := client.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	fmt.Println("deadline", status.Code(err))
	return nil
}

// cancelled is a call that the client gives up. The server notices: it says so
// to whoever asks next.
func cancelled(ctx context.Context, client pb.TestServiceClient) error {
	within, cancel := context.WithCancel(ctx)
	stream, err := client.FullDuplexCall(within)
	if err != nil {
		cancel()
		return err
	}
	if err := stream.Send(&pb.StreamingOutputCallRequest{ResponseParameters: sizes(1)}); err != nil {
		cancel()
		return err
	}
	if _, err := stream.Recv(); err != nil {
		cancel()
		return err
	}
	cancel()
	_, err = stream.Recv()
	fmt.Println("cancelled", status.Code(err))
	_, err = client.EmptyCall(ctx, &pb.Empty{})
	fmt.Println("the server noticed", err)
	return nil
}

// unimplemented is a method that the server does not have.
func unimplemented(ctx context.Context, client pb.TestServiceClient) error {
	_, err := client.UnimplementedCall(ctx, &pb.Empty{})
	fmt.Println("unimplemented", err)
	return nil
}

// sizes asks for answers of some sizes.
func sizes(all ...int32) []*pb.ResponseParameters {
	out := make([]*pb.ResponseParameters, len(all))
	for i, size := range all {
		out[i] = &pb.ResponseParameters{Size: size}
	}
	return out
}
