package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

func cmdTerminal(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 3, "terminal FILE CODE ARG...")
	binary, err := commandBinary()
	ts.Check(err)
	c := exec.CommandContext(context.Background(), binary, args[2:]...)
	c.Dir, c.Env = ts.MkAbs("."), h.operatorEnv(ts)
	screen, err := startOnTerminal(c)
	ts.Check(err)
	for line := range strings.Lines(expanded(ts, args[0])) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "< "):
			if err := screen.expect(line[2:]); err != nil {
				screen.kill()
				ts.Fatalf("%v", err)
			}
		case strings.HasPrefix(line, "> "), line == ">":
			screen.enter(strings.TrimPrefix(strings.TrimPrefix(line, ">"), " "))
		case line == "^C":
			screen.write("\x03")
		}
	}
	err = screen.wait()
	h.show(args[2], screen.text())
	_, _ = ts.Stdout().Write([]byte(screen.text()))
	checkCode(ts, args[1], err, screen.text())
}

// screen is a running command on a terminal.
type screen struct {
	cmd  *exec.Cmd
	file *os.File
	done chan struct{} // closed when there is nothing more to read

	mu   sync.Mutex
	more *sync.Cond
	all  []byte
	from int // what was expected so far ends here
}

func startOnTerminal(c *exec.Cmd) (*screen, error) {
	file, err := pty.StartWithSize(c, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		return nil, fmt.Errorf("starting on a terminal: %w", err)
	}
	s := &screen{cmd: c, file: file, done: make(chan struct{})}
	s.more = sync.NewCond(&s.mu)
	go func() {
		defer s.more.Broadcast()
		defer close(s.done)
		buffer := make([]byte, 4096)
		for {
			n, err := file.Read(buffer)
			s.mu.Lock()
			s.all = append(s.all, buffer[:n]...)
			s.more.Broadcast()
			s.mu.Unlock()
			if err != nil { // EIO when the command has ended
				return
			}
		}
	}()
	return s, nil
}

// patience is how long a test waits for a terminal.
const patience = time.Minute

func (s *screen) expect(text string) error {
	timer := time.AfterFunc(patience, s.kill)
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if i := bytes.Index(s.all[s.from:], []byte(text)); i >= 0 {
			s.from += i + len(text)
			return nil
		}
		select {
		case <-s.done:
			return fmt.Errorf("the terminal does not show %q, but:\n%s", text, s.all)
		default:
		}
		s.more.Wait()
	}
}

func (s *screen) enter(line string) { s.write(line + "\n") }

// write types a text. A test sees by the output whether the command has ended.
func (s *screen) write(text string) { _, _ = s.file.WriteString(text) }

// kill ends the command and wakes whoever waits for what it shows.
func (s *screen) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
	s.mu.Lock()
	s.more.Broadcast()
	s.mu.Unlock()
}

func (s *screen) wait() error {
	timer := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	<-s.done
	err := s.cmd.Wait()
	_ = s.file.Close()
	return err
}

// text is what was shown, without a terminal's line ends and colours.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(string(s.all), "\r\n", "\n")
}
