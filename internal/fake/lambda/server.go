package fakelambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits of Lambda's Invoke operation, in bytes
// (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html).
const (
	maxRequest = 6 << 20
	logTail    = 4 << 10
)

// Server is Lambda's Invoke operation over functions known by name: the endpoint of the
// AWS CLI, an SDK or a service that invokes functions. Signatures are not verified.
type Server struct {
	url      string
	http     *http.Server
	underWay sync.WaitGroup // invocations; added to under mu, while not closed

	mu        sync.Mutex
	functions map[string]*Function
	closed    bool
}

// NewServer listens on addr, or on a free loopback port if addr is empty. The
// error is that of listening.
func NewServer(addr string) (*Server, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for invocations: %w", err)
	}
	s := &Server{url: "http://" + listener.Addr().String(), functions: map[string]*Function{}}
	s.http = &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = s.http.Serve(listener) }() // ends with ErrServerClosed
	return s, nil
}

// Handler answers Invoke, for whoever serves it at an address of his own.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", s.handleInvoke)
	return mux
}

// URL is what to set as the endpoint of Lambda, without a final slash.
func (s *Server) URL() string { return s.url }

// Add makes f known as name, in place of any other of that name.
func (s *Server) Add(name string, f *Function) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.functions[name] = f
}

// Close refuses further invocations, waits for those in progress and stops listening. It
// does not close the functions.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.underWay.Wait()
	return s.http.Close()
}

// begin counts an invocation as in progress until the caller calls Done. It returns false
// once the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.underWay.Add(1)
	return true
}

// find accepts the three forms of FunctionName: name, partial ARN and ARN, each with or
// without a qualifier.
func (s *Server) find(name string) (*Function, bool) {
	if _, after, found := strings.Cut(name, "function:"); found {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	s.mu.Lock()
	defer s.mu.Unlock()
	f, found := s.functions[name]
	return f, found
}

func (s *Server) handleInvoke(w http.ResponseWriter, r *http.Request) {
	f, found := s.find(r.PathValue("name"))
	if !found {
		refuseInvoke(w, http.StatusNotFound, "ResourceNotFoundException",
			"Function not found: "+r.PathValue("name"))
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuseInvoke(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException",
			fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxRequest))
		return
	case err != nil:
		return // the caller hung up
	case len(payload) > 0 && !json.Valid(payload):
		refuseInvoke(w, http.StatusBadRequest, "InvalidRequestContentException",
			"Could not parse request body into json")
		return
	}
	s.invoke(w, r, f, payload)
}

func (s *Server) invoke(w http.ResponseWriter, r *http.Request, f *Function, payload []byte) {
	if !s.begin() {
		refuseInvoke(w, http.StatusServiceUnavailable, "ServiceException", "the server is closing")
		return
	}
	defer s.underWay.Done()
	w.Header().Set("X-Amzn-Requestid", newID())
	// Lambda continues when the caller hangs up.
	ctx := context.WithoutCancel(r.Context())
	switch kind := r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", "RequestResponse":
		result, err := f.Invoke(ctx, payload)
		if err != nil {
			refuseInvoke(w, http.StatusInternalServerError, "ServiceException", err.Error())
			return
		}
		writeResult(w, r, result)
	case "Event":
		// Its result is dropped, as on AWS without a destination.
		s.underWay.Go(func() { _, _ = f.Invoke(ctx, payload) })
		w.WriteHeader(http.StatusAccepted)
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	default:
		refuseInvoke(w, http.StatusBadRequest, "InvalidParameterValueException", "unknown invocation type "+kind)
	}
}

func writeResult(w http.ResponseWriter, r *http.Request, result Result) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Amz-Executed-Version", "$LATEST")
	if result.FunctionError != "" {
		h.Set("X-Amz-Function-Error", result.FunctionError)
	}
	if r.Header.Get("X-Amz-Log-Type") == "Tail" {
		tail := result.Logs[max(0, len(result.Logs)-logTail):]
		h.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(tail))
	}
	_, _ = w.Write(result.Payload) // the caller may have hung up
}

func refuseInvoke(w http.ResponseWriter, status int, code, message string) {
	body, err := json.Marshal(map[string]string{"Type": "User", "Message": message})
	if err != nil {
		panic(err) // two strings always encode
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
