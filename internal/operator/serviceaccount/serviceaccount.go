// Package serviceaccount moves a flexera connection from a user's refresh token,
// which dies after a year and can be made by hand only, onto a service account,
// whose client needs no renewal by hand. `evertoken service-account` runs it.
//
// It works with the rights of the user whose refresh token is stored, shows what
// it is about to do and asks. It can be run again after a failure half-way: a
// service account of that name is used, not made again, and so is a client whose
// secret is already stored.
package serviceaccount

import (
	"context"
	"fmt"
	"io"
	"time"

	"evertoken/internal/config"
	"evertoken/internal/secrets"
)

// Options are the operator's.
type Options struct {
	// Connection is the name of the connection to move, and Name that of the
	// service account, which is made unless it exists, with Description.
	Connection, Name, Description string
	// Roles are granted to the account; one at least.
	Roles []string
	// Org is the organization's number; 0 means that of the connection's settings.
	Org int64
}

// World has what a move uses.
type World struct {
	Config     config.Config
	Secrets    *secrets.Store
	Parameters *secrets.Parameters
	// Out receives the plan and the progress.
	Out io.Writer
	// Confirm asks the operator; its error ends the move before it begins.
	Confirm func() error
	// CLI, where it is set, makes this a dry run: the plan is shown, and for the changes
	// in AWS the commands, as CLI writes them.
	CLI   func(words ...string) string
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error
}

// Move moves a connection. Its error is a [*Stopped], an [*exchange.Error], or one that
// needs no hint.
func Move(ctx context.Context, w World, o Options) error {
	return (&migration{World: w, Options: o}).run(ctx)
}

// Stopped is an error with what to do about it.
type Stopped struct {
	Err error
	// Hint is whole sentences.
	Hint string
	// Begun is set where something was changed: another run continues from there.
	Begun bool
}

func (s *Stopped) Error() string { return s.Err.Error() }

// Unwrap returns the cause.
func (s *Stopped) Unwrap() error { return s.Err }

func stop(hint string, err error) error { return &Stopped{Err: err, Hint: hint} }

func refuse(hint, format string, args ...any) error {
	return stop(hint, fmt.Errorf(format, args...))
}

// begun marks an error of a move that had begun.
func begun(err error) error {
	if err == nil {
		return nil
	}
	return &Stopped{Err: err, Begun: true}
}
