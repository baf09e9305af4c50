package origin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// GRPC is a server of gRPC's own test service that listens.
type GRPC struct {
	server *grpc.Server
	addr   string
	served sync.WaitGroup
}

// StartGRPC starts a server, with TLS where there is an authority. The caller
// closes it.
func StartGRPC(authority *Authority) (*GRPC, error) {
	l, err := listener(nil)
	if err != nil {
		return nil, err
	}
	var options []grpc.ServerOption
	if authority != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(authority.TLS())))
	}
	g := &GRPC{server: grpc.NewServer(options...), addr: l.Addr().String()}
	pb.RegisterTestServiceServer(g.server, &testService{gone: make(chan struct{}, 16)})
	g.served.Go(func() { g.run(l) })
	return g, nil
}

// run serves until the server is stopped. An error would show in every call.
func (g *GRPC) run(l net.Listener) { _ = g.server.Serve(l) }

// Addr returns the address and port of the server.
func (g *GRPC) Addr() string { return g.addr }

// Close ends all connections.
func (g *GRPC) Close() {
	g.server.Stop()
	g.served.Wait()
}

// testService is the service.
type testService struct {
	pb.UnimplementedTestServiceServer
	gone chan struct{} // one value for each stream that its client gave up
}

// UnaryCall answers with as many bytes as are asked for.
func (*testService) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	if s := in.GetResponseStatus(); s.GetCode() != 0 {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	asked, _ := metadata.FromIncomingContext(ctx)
	err := errors.Join(
		grpc.SetHeader(ctx, metadata.MD{"x-echo": asked["x-echo"]}),
		grpc.SetTrailer(ctx, metadata.MD{"x-echo-bin": asked["x-echo-bin"]}),
	)
	return &pb.SimpleResponse{Payload: &pb.Payload{Body: make([]byte, in.GetResponseSize())}}, err
}

// StreamingInputCall says how many bytes came.
func (*testService) StreamingInputCall(stream pb.TestService_StreamingInputCallServer) error {
	sum := 0
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(in.GetPayload().GetBody())
	}
}

// StreamingOutputCall sends messages of the sizes that are asked for.
func (*testService) StreamingOutputCall(in *pb.StreamingOutputCallRequest, stream pb.TestService_StreamingOutputCallServer) error {
	return answerAll(in, stream.Send)
}

// FullDuplexCall answers each message as it comes.
func (s *testService) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	for n := 0; ; n++ {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			stream.SetTrailer(metadata.Pairs("x-count", strconv.Itoa(n)))
			return nil
		}
		if status.Code(err) == codes.Canceled {
			s.gone <- struct{}{}
		}
		if err == nil {
			err = answerAll(in, stream.Send)
		}
		if err != nil {
			return err
		}
		if asked := in.GetResponseStatus(); asked.GetCode() != 0 {
			return status.Error(codes.Code(asked.GetCode()), asked.GetMessage())
		}
	}
}

// EmptyCall answers once a stream was given up by its client.
func (s *testService) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case <-s.gone:
		return &pb.Empty{}, nil
	case <-limit.C:
		return nil, status.Error(codes.DeadlineExceeded, "no stream was given up")
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a stream: %w", ctx.Err())
	}
}

// answerAll sends what a message asks for.
func answerAll(in *pb.StreamingOutputCallRequest, send func(*pb.StreamingOutputCallResponse) error) error {
	for _, one := range in.GetResponseParameters() {
		if err := send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, one.GetSize())}}); err != nil {
			return err
		}
	}
	return nil
}
