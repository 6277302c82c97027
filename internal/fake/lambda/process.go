package fakelambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// process is one run of the executable, with a Runtime API of its own, so that
// the last requests of a dying process cannot reach its successor.
type process struct {
	o   Options
	arn string

	cmd     *exec.Cmd
	server  *http.Server
	started time.Time
	// log is an unlinked file rather than a pipe: what the process has written can be
	// read at once, without waiting for a copy.
	log *os.File

	work   chan *invocation // taken by the Runtime API's "next"
	ready  chan struct{}    // closed when the process first asks for an event
	exited chan struct{}    // closed when the process is gone and reaped

	warm    bool  // whether an invocation was run already
	logsEnd int64 // how much of log was returned

	mu        sync.Mutex
	isReady   bool
	current   *invocation // what the process is working on
	initError *answer     // what the process posted to "init error"
}

// invocation is one event on its way through the process.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	done     chan struct{} // closed when the process asks for the next event
	answer   *answer       // nil until posted; guarded by process.mu
}

// answer is what the process posted.
type answer struct {
	payload      []byte
	failed       bool
	errorType    string
	errorMessage string
}

func startProcess(o Options, arn string) (*process, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(context.Background(), "tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listening for the runtime: %w", err)
	}
	p := &process{
		o:      o,
		arn:    arn,
		work:   make(chan *invocation),
		ready:  make(chan struct{}),
		exited: make(chan struct{}),
	}
	if err := p.exec(listener.Addr().String()); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	p.server = &http.Server{Handler: p.runtimeAPI(), ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(listener) }() // ends, with ErrServerClosed, in the goroutine below
	go func() {
		_ = p.cmd.Wait() // ProcessState has the result
		_ = p.server.Close()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) exec(runtimeAPI string) error {
	log, err := os.CreateTemp("", "fakelambda-*.log")
	if err != nil {
		return fmt.Errorf("creating the log: %w", err)
	}
	if err := os.Remove(log.Name()); err != nil {
		return errors.Join(fmt.Errorf("unlinking the log: %w", err), log.Close())
	}
	p.log = log
	p.cmd = exec.CommandContext(context.Background(), p.o.Binary) // kill ends it
	p.cmd.Dir = filepath.Dir(p.o.Binary)
	p.cmd.Env = p.environment(runtimeAPI)
	p.cmd.Stdout, p.cmd.Stderr = orFile(p.o.Stdout, log), orFile(p.o.Stderr, log)
	p.cmd.WaitDelay = time.Second // for a grandchild that holds a writer's pipe open
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("starting the executable: %w", err), log.Close())
	}
	return nil
}

func orFile(w io.Writer, file *os.File) io.Writer {
	if w == nil {
		return file
	}
	return w
}

// environment is Lambda's own variables, see
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html,
// then those of the options, of which the last one counts.
func (p *process) environment(runtimeAPI string) []string {
	region := lookup(p.o.Env, "AWS_REGION", defaultRegion)
	env := []string{
		"_HANDLER=bootstrap",
		"AWS_DEFAULT_REGION=" + region,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(p.o.MemoryMB),
		"AWS_LAMBDA_FUNCTION_NAME=" + p.o.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_FORMAT=JSON",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + p.o.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + p.started.UTC().Format("2006/01/02") + "/[$LATEST]" + newID(),
		"AWS_LAMBDA_RUNTIME_API=" + runtimeAPI,
		"AWS_REGION=" + region,
		"LAMBDA_TASK_ROOT=" + filepath.Dir(p.o.Binary),
		"LANG=en_US.UTF-8",
		"PATH=/usr/local/bin:/usr/bin:/bin",
		"TZ=:UTC",
	}
	return append(env, p.o.Env...)
}

// run hands payload to the process and waits until it is done with it. Only one
// run at a time.
func (p *process) run(ctx context.Context, payload []byte) (Result, error) {
	inv := &invocation{id: newID(), payload: payload, done: make(chan struct{})}
	var result Result
	if !p.warm {
		p.warm = true
		timedOut, err := p.awaitReady(ctx)
		if err != nil {
			return Result{}, err
		}
		result.InitDuration = time.Since(p.started)
		if timedOut {
			p.conclude(&result, inv, true, p.o.InitTimeout)
			return result, nil
		}
	}
	start := time.Now()
	inv.deadline = start.Add(p.o.Timeout)
	timedOut, err := p.await(ctx, inv)
	if err != nil {
		return Result{}, err
	}
	result.Duration = time.Since(start)
	p.conclude(&result, inv, timedOut, p.o.Timeout)
	return result, nil
}

// awaitReady waits until the process asks for an event or is gone. It kills the
// process when its time for that is over, and when ctx ends.
func (p *process) awaitReady(ctx context.Context) (timedOut bool, err error) {
	timer := time.NewTimer(time.Until(p.started.Add(p.o.InitTimeout)))
	defer timer.Stop()
	select {
	case <-p.ready:
	case <-p.exited:
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		p.kill()
		return false, fmt.Errorf("waiting for the function to start: %w", ctx.Err())
	}
	return false, nil
}

// await hands inv over and waits until the process is done with it or gone. It
// kills the process when ctx ends.
func (p *process) await(ctx context.Context, inv *invocation) (timedOut bool, err error) {
	timer := time.NewTimer(time.Until(inv.deadline))
	defer timer.Stop()
	select {
	case p.work <- inv:
	case <-p.exited:
		return false, nil
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		p.kill()
		return false, fmt.Errorf("handing the event over: %w", ctx.Err())
	}
	select {
	case <-inv.done:
	case <-p.exited:
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		p.kill()
		return false, fmt.Errorf("waiting for the function: %w", ctx.Err())
	}
	return false, nil
}

// conclude fills in result. A process that ran out of time is killed first.
func (p *process) conclude(result *Result, inv *invocation, timedOut bool, limit time.Duration) {
	if !p.gone() {
		result.PeakRSS = peakRSS(p.cmd.Process.Pid)
	}
	if timedOut {
		p.kill()
	}
	a, started := p.answerTo(inv)
	switch {
	case timedOut && started:
		result.TimedOut = true
		a = failure(ErrorTypeTimeout,
			fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", inv.id,
				limit.Seconds()))
	case p.gone():
		result.Exited = true
		if a == nil {
			a = failure(ErrorTypeExit, fmt.Sprintf("RequestId: %s Error: %s", inv.id, p.exitReason()))
		}
	}
	result.Payload = a.payload
	if a.failed {
		result.FunctionError = "Unhandled"
		result.ErrorType, result.ErrorMessage = a.errorType, a.errorMessage
	}
	result.Logs = p.logs(p.logsEnd)
	p.logsEnd += int64(len(result.Logs))
}

// answerTo returns what the process posted to inv, if anything, or why it could
// not start.
func (p *process) answerTo(inv *invocation) (a *answer, started bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.initError != nil {
		return p.initError, false
	}
	return inv.answer, true
}

// exitReason is in the words of Lambda.
func (p *process) exitReason() string {
	if p.cmd.ProcessState.Success() {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + p.cmd.ProcessState.String()
}

// failure is the answer that Lambda gives in place of the function.
func failure(errorType, message string) *answer {
	payload, err := json.Marshal(map[string]string{"errorType": errorType, "errorMessage": message})
	if err != nil {
		panic(err) // two strings always encode
	}
	return &answer{payload: payload, failed: true, errorType: errorType, errorMessage: message}
}

// kill ends the process, if it still runs, and waits until it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // the only error is that it is gone already
	<-p.exited
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// logs returns what the process has written from offset on.
func (p *process) logs(offset int64) []byte {
	logs, err := io.ReadAll(io.NewSectionReader(p.log, offset, 1<<62))
	if err != nil {
		return append(logs, "\n[reading the log: "+err.Error()+"]\n"...)
	}
	return logs
}

// release frees what a process that has ended still holds.
func (p *process) release() {
	_ = p.log.Close() // nothing was written through this descriptor
}
