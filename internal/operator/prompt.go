package operator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/term"

	"evertoken/internal/credential"
	"evertoken/internal/redact"
)

// prompter asks a person on a terminal. Questions go to standard error, so that
// standard output holds the answer alone.
type prompter struct {
	*app
	file *os.File
	in   *bufio.Reader
}

var errNoTerminal = errors.New("there is no terminal to ask on")

// prompter returns the terminal on standard input.
func (a *app) prompter() (*prompter, error) {
	if a.asks != nil {
		return a.asks, nil
	}
	f, ok := a.Stdin.(*os.File)
	if !ok || !terminal(a.Stdin) {
		return nil, errNoTerminal
	}
	a.asks = &prompter{a, f, bufio.NewReader(f)}
	return a.asks, nil
}

var (
	errNoAnswer = &failure{exitInterrupted,
		errors.New("no answer was given: nothing was changed"), ""}
	errInterruptedAnswer = &failure{exitInterrupted,
		errors.New("interrupted: nothing was changed"), ""}
)

// line asks for a line that may be seen.
func (p *prompter) line(question string) (string, error) {
	p.errorf("%s", question)
	stop := p.interruptible()
	defer stop()
	text, err := p.in.ReadString('\n')
	if err != nil {
		return "", errNoAnswer
	}
	return strings.TrimRight(text, "\r\n"), nil
}

// longestLine is how many characters a line on a terminal can have.
const longestLine = 4096

// secret asks for a line without echo. The echo ends before the question is shown, so that
// nothing typed in answer to it appears. Ctrl-C ends the question.
func (p *prompter) secret(question string) (redact.Secret, error) {
	stop := p.interruptible()
	defer stop()
	fd := int(p.file.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return redact.Secret{}, errNoTerminal
	}
	defer func() { _ = term.Restore(fd, before) }()
	text, err := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{p.file, p.Stderr}, "").ReadPassword(question)
	if err != nil {
		p.errorf("\r\n")
		return redact.Secret{}, errInterruptedAnswer
	}
	if utf8.RuneCountInString(text) >= longestLine {
		return redact.Secret{}, usage("Give the credential with --credential FILE.",
			"this is longer than a line on a terminal can be, %d characters", longestLine)
	}
	return redact.New(text), nil
}

// interruptible lets Ctrl-C end a question, and the process with it: whatever is
// asked is asked before anything is changed. The terminal gets its echo back.
func (p *prompter) interruptible() (stop func()) {
	fd := int(p.file.Fd())
	before, err := term.GetState(fd)
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			if err == nil {
				_ = term.Restore(fd, before) // the process ends
			}
			p.errorf("\n%s interrupted: nothing was changed\n", p.red("evertoken:"))
			os.Exit(exitInterrupted)
		case <-done:
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// choose asks for one of several, by name or number.
func (p *prompter) choose(question string, all []string) (string, error) {
	for {
		answer, err := p.line(question)
		if err != nil {
			return "", err
		}
		answer = strings.TrimSpace(answer)
		for i, one := range all {
			if answer == one || answer == fmt.Sprint(i+1) {
				return one, nil
			}
		}
		hint := ""
		if near := nearest(answer, all); near != "" && answer != "" {
			hint = " Did you mean " + near + "?"
		}
		p.errorf("There is no %q.%s\n", answer, hint)
	}
}

// maxDocument bounds a credential document: a secret holds 64 KiB.
const maxDocument = 64 << 10

// readDocument reads a credential document from a file, or from standard input
// where that is "-". Its error never quotes what it read.
func (a *app) readDocument(file string) (credential.Credential, error) {
	in := a.Stdin
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // the operator names it
		if err != nil {
			return credential.Credential{}, usage("Check the file's name and your rights to it.",
				"%s cannot be read: %w", file, errors.Unwrap(err))
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err != nil {
		return credential.Credential{}, usage("Run this again.", "the credential cannot be read")
	}
	if len(text) > maxDocument {
		return credential.Credential{}, usage("Check that this is the credential's document.",
			"the credential is larger than a secret can be, 64 KiB")
	}
	doc, err := credential.Parse(redact.New(string(text)))
	if err != nil {
		return doc, usage("Nothing was stored. Correct the document and run this again.", "%w", err)
	}
	return doc, nil
}
