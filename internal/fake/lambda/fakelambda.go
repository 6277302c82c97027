// Package fakelambda runs a built Lambda function as Lambda would: it starts
// the bootstrap executable as a child process, serves it the Runtime API on a
// loopback socket, and kills it at its deadline.
//
// The executable is the very one that is deployed. What is not reproduced: the
// START, END and REPORT lines, the filtering of logs by level, the memory limit,
// and the second initialization that Lambda tries after a failed first one.
//
// Runtime API: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
package fakelambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// What an invocation ends with when the function did not answer it, as Lambda
// names it in errorType.
const (
	// ErrorTypeTimeout is reported when the deadline passed.
	ErrorTypeTimeout = "Sandbox.Timedout"
	// ErrorTypeExit is reported when the process ended without an answer.
	ErrorTypeExit = "Runtime.ExitError"
	// ErrorTypeResponseSize is reported when the answer was over 6 MiB.
	ErrorTypeResponseSize = "Function.ResponseSizeTooLarge"
)

// ErrClosed is what Invoke returns once the function is closed.
var ErrClosed = errors.New("the function is closed")

// Lambda's own defaults and limits, see
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html and
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html.
const (
	defaultTimeout     = 3 * time.Second
	defaultInitTimeout = 10 * time.Second
	defaultMemoryMB    = 128
	defaultRegion      = "us-east-1"
	accountID          = "123456789012"
)

// Options say which executable to run, and how.
type Options struct {
	// Binary is the path of the bootstrap executable. Required.
	Binary string
	// Name is the function's name; by default that of the folder of Binary.
	Name string
	// Env is what the process has in its environment in addition to Lambda's own
	// variables, as KEY=VALUE. Nothing is inherited from the parent. A variable named
	// here replaces Lambda's own.
	Env []string
	// Timeout is how long one invocation may take; 3 s by default.
	Timeout time.Duration
	// InitTimeout is how long a process may take until it first asks for an
	// event; 10 s by default.
	InitTimeout time.Duration
	// MemoryMB is the memory size that the process finds in its environment, in MB; 128 by
	// default. It is not enforced.
	MemoryMB int
	// Concurrency is how many invocations run at a time, each in a process of
	// its own; 1 by default. More than that wait.
	Concurrency int
	// Stdout and Stderr receive what the process writes, as it writes it. What
	// goes to a nil one is kept, in Result.Logs and Function.Logs. A writer must
	// be safe for concurrent use where it serves several processes.
	Stdout, Stderr io.Writer
	// Addr is where the Runtime API of a process listens; 127.0.0.1:0 by
	// default. With a Concurrency over 1 its port must be 0.
	Addr string
}

// Result is how an invocation ended.
type Result struct {
	// Payload is the function's answer, or the JSON object with errorMessage and
	// errorType.
	Payload []byte
	// FunctionError is empty on success, else "Unhandled", which is what Lambda
	// reports for a custom runtime whether the handler returned an error,
	// panicked, exited or ran out of time.
	FunctionError string
	// ErrorType and ErrorMessage are those of Payload on a failure.
	ErrorType, ErrorMessage string
	// TimedOut says that the deadline passed and the process was killed.
	TimedOut bool
	// Exited says that the process ended for another reason than TimedOut.
	Exited bool
	// Duration is the time from handing the event over to the process asking
	// for the next one. InitDuration is the time the process took until it
	// first asked for an event; zero for a warm one.
	Duration, InitDuration time.Duration
	// Logs is what the process wrote meanwhile, initialization included.
	Logs []byte
	// PeakRSS is the largest resident set of the process so far, in bytes; zero
	// where that is not known, as after a process that has ended.
	PeakRSS int64
}

// Function is a deployed function. Its processes are started by the first
// Invoke that needs them and reused by later ones. It is safe for concurrent
// use.
type Function struct {
	o      Options
	arn    string
	slots  chan struct{} // one element per running invocation
	closed chan struct{}
	closer sync.Once

	mu   sync.Mutex
	live []*process // all that were started and not retired yet
	idle []*process // those of them that wait for an event
	past []byte     // logs of the retired ones
}

// Start prepares the function; no process is started yet. The end of ctx closes the
// function. The error names the option that is wrong.
func Start(ctx context.Context, o Options) (*Function, error) {
	binary, err := filepath.Abs(o.Binary)
	if err != nil {
		return nil, fmt.Errorf("finding the executable: %w", err)
	}
	o.Binary = binary
	info, err := os.Stat(o.Binary)
	if err != nil {
		return nil, fmt.Errorf("finding the executable: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return nil, fmt.Errorf("finding the executable: %s is not executable", o.Binary)
	}
	if o.Timeout < 0 || o.InitTimeout < 0 || o.MemoryMB < 0 || o.Concurrency < 0 {
		return nil, errors.New("a timeout, memory size or concurrency is negative")
	}
	o.setDefaults()
	if o.Concurrency > 1 && !strings.HasSuffix(o.Addr, ":0") {
		return nil, fmt.Errorf("the address %s has a fixed port, but %d processes need one each",
			o.Addr, o.Concurrency)
	}
	f := &Function{
		o:      o,
		arn:    "arn:aws:lambda:" + lookup(o.Env, "AWS_REGION", defaultRegion) + ":" + accountID + ":function:" + o.Name,
		slots:  make(chan struct{}, o.Concurrency),
		closed: make(chan struct{}),
	}
	context.AfterFunc(ctx, func() { _ = f.Close() })
	return f, nil
}

func (o *Options) setDefaults() {
	if o.Name == "" {
		o.Name = filepath.Base(filepath.Dir(o.Binary))
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.InitTimeout == 0 {
		o.InitTimeout = defaultInitTimeout
	}
	if o.MemoryMB == 0 {
		o.MemoryMB = defaultMemoryMB
	}
	if o.Concurrency == 0 {
		o.Concurrency = 1
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
}

// ARN returns the name by which the function is invoked in full.
func (f *Function) ARN() string { return f.arn }

// Invoke runs the function on payload (JSON; empty means {}) and waits until it
// is done. Result has a failure of the function. The error says that the
// invocation did not happen or was cancelled: the process could not be started,
// the function is closed, or ctx ended. The end of ctx kills the process.
func (f *Function) Invoke(ctx context.Context, payload []byte) (Result, error) {
	select {
	case <-f.closed: // select picks at random when a slot is free too
		return Result{}, ErrClosed
	default:
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-f.closed:
		return Result{}, ErrClosed
	case <-ctx.Done():
		return Result{}, fmt.Errorf("waiting for a free process: %w", ctx.Err())
	}
	p, err := f.take()
	if err != nil {
		return Result{}, err
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	result, err := p.run(ctx, payload)
	f.put(p)
	return result, err
}

// take returns a process that waits for an event, or starts one.
func (f *Function) take() (*process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.idle) > 0 {
		p := f.idle[len(f.idle)-1]
		f.idle = f.idle[:len(f.idle)-1]
		if !p.gone() {
			return p, nil
		}
		f.retire(p)
	}
	select {
	case <-f.closed:
		return nil, ErrClosed
	default:
	}
	p, err := startProcess(f.o, f.arn)
	if err != nil {
		return nil, err
	}
	f.live = append(f.live, p)
	return p, nil
}

// put gives back what take returned.
func (f *Function) put(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.gone() {
		f.retire(p)
		return
	}
	f.idle = append(f.idle, p)
}

// retire keeps the logs of a process that has ended and forgets the rest. The caller
// holds f.mu.
func (f *Function) retire(p *process) {
	for i, q := range f.live {
		if q == p {
			f.live = append(f.live[:i], f.live[i+1:]...)
			break
		}
	}
	f.past = append(f.past, p.logs(0)...)
	p.release()
}

// Kill ends every process with SIGKILL and waits until it is gone. A pending
// Invoke returns with Exited; the next one starts a new process.
func (f *Function) Kill() {
	f.mu.Lock()
	live := append([]*process(nil), f.live...)
	f.mu.Unlock()
	for _, p := range live {
		p.kill()
	}
}

// Logs returns what the function's processes have written so far, one process
// after the other.
func (f *Function) Logs() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	logs := append([]byte(nil), f.past...)
	for _, p := range f.live {
		logs = append(logs, p.logs(0)...)
	}
	return logs
}

// Close kills every process and waits for pending invocations to return. Logs
// still answers afterwards. Closing twice is fine; the error is always nil.
func (f *Function) Close() error {
	f.closer.Do(func() {
		close(f.closed)
		f.Kill()
		for range cap(f.slots) { // each pending invocation gives its slot back
			f.slots <- struct{}{}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, p := range f.idle {
			f.retire(p)
		}
		f.idle = nil
	})
	return nil
}

// lookup returns the value of key in env, where the last one counts.
func lookup(env []string, key, fallback string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if value, found := strings.CutPrefix(env[i], key+"="); found {
			return value
		}
	}
	return fallback
}
