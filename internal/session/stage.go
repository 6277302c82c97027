package session

import (
	"time"

	"evertoken/internal/secrets"
)

// Stage is where the session secret stands.
type Stage string

// The stages; the package comment has the table.
const (
	Empty      Stage = "empty"
	Moved      Stage = "moved"
	Unlabelled Stage = "unlabelled"
	Idle       Stage = "idle"
	Lost       Stage = "lost"
	Busy       Stage = "busy"
	Orphaned   Stage = "orphaned"
)

// StageOf reads the stage from what DescribeSecret tells. read is the id of the
// version that the run goes by, "" if there was none; runLasts is the longest
// that a run can last. It is a pure function.
func StageOf(d secrets.Description, read string, now time.Time, runLasts time.Duration) Stage {
	current, holder := d.Holder(secrets.Current), d.Holder(LabelExchange)
	switch {
	case current != read:
		return Moved
	case current == "":
		return Empty
	case holder == "":
		return Unlabelled
	case holder != current && sentNote(on(d)).n > 0:
		return Lost
	case holder != current:
		return Idle
	}
	seen := notes(on(d), LabelSeen)
	if len(seen) > 0 && now.Sub(seen[0].at) >= runLasts && now.Sub(d.LastChanged) >= runLasts {
		return Orphaned
	}
	return Busy
}

// Terms are what the next step depends on besides the stage.
type Terms struct {
	// Dying is set where the published token is expired or about to expire.
	Dying bool
	// Stronger is set where a session can be opened in this run by a grant that
	// may be repeated: a password or a client's secret.
	Stronger bool
	// BeingOpened is set where AWSCURRENT says that a session is being opened, and
	// the run that wrote it may not have had the time yet to put the label there.
	BeingOpened bool
	// OpensWith is the fingerprint of what a session would be opened with first,
	// "" where its refresh token is sent first. It does not change the step.
	OpensWith string
	// NotedFor is how long ago another run first noted the claim; 0 if none did.
	NotedFor time.Duration
}

// Step is what a run does in a stage.
type Step string

// The steps.
const (
	Open      Step = "open"       // write the version that says that a session is being opened
	ReadAgain Step = "read again" // take what is now AWSCURRENT as what is in force
	Place     Step = "place"      // put LabelExchange where nobody claims by it, then look again
	Claim     Step = "claim"      // move LabelExchange onto AWSCURRENT
	TakeOver  Step = "take over"  // take the note of a claim whose run has ended
	PassBy    Step = "pass by"    // leave the claim alone and open another session beside it
	Note      Step = "note"       // note when the claim was seen, and wait
	WaitStep  Step = "wait"       // another run is renewing, or was a moment ago
)

// noted is how old the note of a claim must be for a run to pass by it: a claim
// that is being made at this moment is somebody's who came first.
const noted = time.Minute

// Next is the step that a stage leads to. It is a pure function.
func Next(stage Stage, t Terms) Step {
	switch stage {
	case Empty:
		return Open
	case Moved:
		return ReadAgain
	case Unlabelled:
		if t.BeingOpened {
			return WaitStep
		}
		return Place
	case Idle, Lost:
		return Claim
	case Orphaned:
		return TakeOver
	case Busy:
		switch {
		case t.NotedFor == 0:
			return Note
		case t.Dying && t.Stronger && t.NotedFor >= noted:
			return PassBy
		}
	}
	return WaitStep
}

// Doubt is how often what the session holds was sent without its answer being
// stored, and when last.
type Doubt struct {
	Sent int
	Last time.Time
}

// Replay are the terms on which it may be sent again.
type Replay struct {
	Now time.Time
	// Provider is set where the provider takes a refresh token again whose
	// answer was lost, or seldom minds.
	Provider bool
	// Stronger is as in [Terms].
	Stronger bool
	// NeedsToken is set where no token is published, or one that is expired or
	// about to expire.
	NeedsToken bool
	// Force is set where an operator asks for it.
	Force bool
}

// Daily is how often a refresh token in doubt is sent where nothing stronger is
// stored, less what heartbeats are late or early by.
const Daily = 24*time.Hour - time.Minute

// MaySend reports whether the refresh token may be sent. In doubt it is sent
// once more before a stronger grant, where the provider allows that. Where there
// is none it is all there is: it is sent when the token that readers have is
// about to die anyway, since a provider that takes a replay for theft ends that
// one too, and then once a day, so that an outage needs no person.
func (d Doubt) MaySend(r Replay) bool {
	switch {
	case d.Sent == 0, r.Force:
		return true
	case r.Stronger:
		return r.Provider && d.Sent == 1
	case d.Sent == 1:
		return r.NeedsToken
	}
	return r.NeedsToken && r.Now.Sub(d.Last) >= Daily
}
