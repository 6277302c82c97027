package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"evertoken/internal/credential"
	"evertoken/internal/secrets"
)

// Run is what the steps ask of the run that makes them.
type Run struct {
	// Check refuses to go on with the secret as it is described.
	Check func(secrets.Description, Stage) error
	// Changed is called when another session is in force than before. Its error
	// ends the claim.
	Changed func(context.Context) error
	// Terms are asked for anew in each stage.
	Terms func() Terms
	// OpensWith is the fingerprint of what a session would be opened with first,
	// "" where its refresh token is sent first.
	OpensWith func() string
}

// turns is how many steps a run makes: each ends the claim, or changes the state
// that the next one reads.
const turns = 8

// Begin proves that the session can be stored and claims it for this run, or
// passes by another's claim. On success either [Keeper.Claimed] or
// [Keeper.Beside] is set.
func (k *Keeper) Begin(ctx context.Context, run Run) error {
	for range turns {
		d, err := k.Describe(ctx)
		if err != nil {
			return err
		}
		stage := StageOf(d, k.version.ID, k.Now(), k.RunLasts)
		if err := run.Check(d, stage); err != nil {
			return err
		}
		if stage != Moved && stage != Empty {
			k.version.Labels, k.doubt = on(d), sentNote(on(d)) // what was read may be older
			adopted, err := k.adopt(ctx, d, run.Terms())
			if err != nil {
				return err
			}
			if adopted {
				if err := run.Changed(ctx); err != nil {
					return err
				}
				continue
			}
		}
		terms := run.Terms()
		terms.BeingOpened = k.doc.Opening() && k.Now().Sub(k.version.Created) < k.RunLasts
		if seen := notes(on(d), LabelSeen); len(seen) > 0 {
			terms.NotedFor = max(k.Now().Sub(seen[0].at), 1)
		}
		again, err := k.step(ctx, run, d, stage, Next(stage, terms))
		if err != nil || !again {
			return err
		}
	}
	return &Waiting{"the session keeps changing: another run is at work on it"}
}

// step makes one step. again is set where the stage is to be read anew.
func (k *Keeper) step(ctx context.Context, run Run, d secrets.Description, stage Stage, step Step) (again bool, err error) {
	current, holder := d.Holder(secrets.Current), d.Holder(LabelExchange)
	switch step {
	case Open:
		return false, k.open(ctx, d, run.OpensWith())
	case ReadAgain:
		return true, k.readAgain(ctx, run, d)
	case Place:
		err := k.place(ctx, d)
		if secrets.ErrorKind(err) == secrets.ErrLabelMoved {
			err = nil // somebody else has placed it
		}
		return true, err
	case Claim:
		if err := k.claim(ctx, d, current, holder); err != nil {
			return false, err
		}
	case TakeOver:
		if err := k.takeOver(ctx, d); err != nil {
			return false, err
		}
	case PassBy:
		return false, k.passBy(ctx, d)
	case Note:
		return false, k.note(ctx, current)
	default:
		return false, k.busy()
	}
	if stage == Lost || stage == Orphaned || k.look {
		k.look = false
		found, err := k.restore(ctx, true)
		if err != nil {
			k.Release(ctx)
			return false, err
		}
		if found { // it left LabelExchange behind, and is to be claimed itself
			return true, run.Changed(ctx)
		}
	}
	if with := run.OpensWith(); with != "" && k.doc.Opening() && k.doc.OpeningWith != with {
		return false, k.openOver(ctx, with)
	}
	return false, nil
}

// busy is the answer of a run that leaves a claim to whoever made it.
func (k *Keeper) busy() error {
	return &Waiting{"another run has claimed the session and may be at work on it; if that run has ended, a later one takes the claim over " +
		k.RunLasts.String() + " after it was first noted"}
}

// prove shows that the session can be written before anything is sent: the
// current value under its own id is a no-op that AWS still authorizes (botocore
// model, PutSecretValue: "this operation is idempotent").
func (k *Keeper) prove(ctx context.Context) error {
	return unsent(k.Secrets.Put(ctx, k.ID, k.version.ID, k.version.Value))
}

// NotSent is an error before anything was sent.
type NotSent struct{ Err error }

func (e *NotSent) Error() string {
	return "nothing was sent, because the session could not be stored: " + e.Err.Error()
}

// Unwrap returns the cause, of package secrets.
func (e *NotSent) Unwrap() error { return e.Err }

func unsent(err error) error {
	if err == nil {
		return nil
	}
	return &NotSent{err}
}

// open writes the version that says only that a session is being opened, and
// with what. Its id is derived from there being nothing, so that of two runs
// AWS refuses one; then the label follows.
func (k *Keeper) open(ctx context.Context, d secrets.Description, with string) error {
	return k.openAs(ctx, secrets.DeriveID(d.ARN, "", "opening"), with, d.Holder(LabelExchange))
}

// openOver does the same over a version that this run has claimed and that holds
// no session, so that what is sent now is not taken for what was sent before.
func (k *Keeper) openOver(ctx context.Context, with string) error {
	return k.openAs(ctx, secrets.DeriveID(k.version.ARN, k.version.ID, "opening"), with, k.version.ID)
}

func (k *Keeper) openAs(ctx context.Context, id, with, holder string) error {
	doc := credential.Session{OpeningAt: k.Now(), OpeningWith: with}
	value := doc.EncodeUnique(secrets.FreshID())
	err := k.Secrets.Put(ctx, k.ID, id, value)
	if k.claimed && secrets.ErrorKind(err) == secrets.ErrConflict {
		id = secrets.FreshID() // AWSCURRENT was moved back by hand to what was opened over before
		err = k.Secrets.Put(ctx, k.ID, id, value)
	}
	if secrets.ErrorKind(err) == secrets.ErrConflict {
		return &Waiting{"another run is opening the session"}
	}
	if err != nil {
		return unsent(err)
	}
	if err := k.exclusive(k.move(ctx, LabelExchange, id, holder)); err != nil {
		return err
	}
	k.doc, k.version = doc, secrets.Version{ARN: k.version.ARN, ID: id, Value: value}
	k.claimed, k.prior, k.doubt = true, "", note{}
	return nil
}

// exclusive turns AWS's refusal of the second of two runs into words.
func (k *Keeper) exclusive(err error) error {
	if secrets.ErrorKind(err) == secrets.ErrLabelMoved {
		return &Waiting{"another run has claimed the session"}
	}
	return err
}

// readAgain takes what is now AWSCURRENT as what is in force.
func (k *Keeper) readAgain(ctx context.Context, run Run, d secrets.Description) error {
	if k.stored { // by this very run: what is shown is older than that
		return &Waiting{"Secrets Manager does not show yet what this run stored"}
	}
	v, err := k.Secrets.Get(ctx, k.ID, secrets.Current)
	if err != nil {
		return err
	}
	if v.ID != d.Holder(secrets.Current) {
		return &Waiting{"two reads of the session disagree: another run is at work on it"}
	}
	v.Labels = on(d)
	k.Use(v)
	return run.Changed(ctx)
}

// place puts LabelExchange, which no version has, onto one that nobody claims by
// it. Whether AWS refuses to attach a label to the version that already has it
// is not known, so a claim never attaches it.
func (k *Keeper) place(ctx context.Context, d secrets.Description) error {
	to := d.Holder(secrets.Previous)
	if to == "" || to == d.Holder(secrets.Current) {
		var err error
		if to, err = k.holder(ctx); err != nil {
			return unsent(err)
		}
	}
	return k.move(ctx, LabelExchange, to, "")
}

// holder makes a version for LabelExchange to stand on.
func (k *Keeper) holder(ctx context.Context) (string, error) {
	id := secrets.FreshID()
	value := credential.Session{OpeningAt: k.Now()}.EncodeUnique(secrets.FreshID())
	return id, k.Wait.Try(ctx, func(ctx context.Context) error { return k.Secrets.Put(ctx, k.ID, id, value, LabelHolder) })
}

// tidy takes the labels off versions that nothing but notes keeps: a secret has
// 20 labels at most.
func (k *Keeper) tidy(ctx context.Context, d secrets.Description) {
	note := func(label string) bool {
		return strings.HasPrefix(label, LabelSeen) || strings.HasPrefix(label, LabelSent) || k.IsNote(label)
	}
	for id, labels := range d.Labels {
		if slices.ContainsFunc(labels, func(label string) bool { return !note(label) }) {
			continue
		}
		for _, label := range labels {
			if err := k.drop(ctx, label, id); err != nil {
				k.Hint("the label of an earlier version could not be removed: " + err.Error())
			}
		}
	}
}

// claim takes the label, after a note that outlived the claim it was about is
// gone.
func (k *Keeper) claim(ctx context.Context, d secrets.Description, current, holder string) error {
	if err := k.prove(ctx); err != nil {
		return err
	}
	k.tidy(ctx, d)
	for _, n := range notes(on(d), LabelSeen) {
		if err := k.drop(ctx, n.label, current); err != nil {
			return err
		}
	}
	if slices.Contains(on(d), LabelKept) { // once it is sent it is kept for nobody
		if err := k.drop(ctx, LabelKept, current); err != nil {
			return err
		}
	}
	if err := k.exclusive(k.move(ctx, LabelExchange, current, holder)); err != nil {
		return err
	}
	k.claimed, k.prior = true, holder
	return nil
}

// takeOver makes a claim with nobody behind it this run's. What the version holds
// counts as sent.
func (k *Keeper) takeOver(ctx context.Context, d secrets.Description) error {
	if err := k.prove(ctx); err != nil {
		return err
	}
	seen := notes(on(d), LabelSeen)
	for _, n := range seen { // of two runs one succeeds, since both take the notes in one order
		if err := k.exclusive(k.move(ctx, n.label, "", k.version.ID)); err != nil {
			return err
		}
	}
	k.claimed, k.prior = true, ""
	if k.doubt.n == 0 {
		if err := k.noteSent(ctx, 1, seen[0].at); err != nil {
			k.claimed = false // it stays, and is noted again
			return err
		}
	}
	k.Hint("the answer to an earlier exchange was lost")
	return nil
}

// passBy leaves a claim alone, for one run: the note is counted up by name.
func (k *Keeper) passBy(ctx context.Context, d secrets.Description) error {
	seen := notes(on(d), LabelSeen)[0]
	if err := k.exclusive(k.move(ctx, seen.label, "", k.version.ID)); err != nil {
		return err
	}
	if err := k.move(ctx, seenLabel(seen.n+1, seen.at), k.version.ID, ""); err != nil {
		return err
	}
	k.beside = true
	k.Hint("another run holds the claim, or left it; a new session is opened because the token is about to die")
	return nil
}

// note labels the claimed version with the time at which its claim was first
// seen, and takes the label away again if the claim has ended meanwhile.
func (k *Keeper) note(ctx context.Context, current string) error {
	label := seenLabel(1, k.Now())
	if err := k.move(ctx, label, current, ""); err != nil && secrets.ErrorKind(err) != secrets.ErrLabelMoved {
		return err
	}
	d, err := k.Describe(ctx)
	if err == nil && d.Holder(LabelExchange) != current {
		err = k.drop(ctx, label, current)
	}
	if err != nil {
		return err
	}
	return k.busy()
}

// noteSent puts a note on the version in force and takes the others away.
func (k *Keeper) noteSent(ctx context.Context, n int, at time.Time) error {
	label := sentLabel(n, at)
	old := k.doubt.label
	if old == label {
		return nil
	}
	err := k.Wait.Try(ctx, func(ctx context.Context) error { return k.move(ctx, label, k.version.ID, "") })
	if err != nil && secrets.ErrorKind(err) != secrets.ErrLabelMoved { // moved: by the try before, whose answer was lost
		return err
	}
	k.doubt = note{label, n, at}
	if old == "" {
		return nil
	}
	return k.drop(ctx, old, k.version.ID)
}

// Sending is called before the refresh token of the session is sent, or a seed
// that a session is being opened with. Where it was sent before without an
// answer, this send is counted first.
func (k *Keeper) Sending(ctx context.Context) error {
	if !k.claimed || k.doubt.n == 0 || k.bumped {
		return nil
	}
	before := k.doubt
	if err := k.noteSent(ctx, before.n+1, k.Now()); err != nil {
		return unsent(err)
	}
	k.bumped, k.before = true, before
	return nil
}

// Unchanged is called where the answer to what the session holds has come and
// left nothing to store. What the session holds works, so it is in doubt no
// longer.
func (k *Keeper) Unchanged(ctx context.Context) {
	if k.claimed && k.doubt.n > 0 {
		if err := k.drop(ctx, k.doubt.label, k.version.ID); err != nil {
			k.Hint("the note of an earlier lost answer could not be removed: " + err.Error())
		}
		k.doubt, k.bumped = note{}, false
	}
	k.Release(ctx)
}

// Release gives the claim back where nothing was spent.
func (k *Keeper) Release(ctx context.Context) {
	k.dropRescue(ctx)
	if !k.claimed {
		return
	}
	k.claimed = false
	to := k.prior
	err := k.unnote(ctx)
	if err == nil && k.bumped {
		k.bumped = false
		err = k.noteSent(ctx, k.before.n, k.before.at)
	}
	if err == nil && to != "" {
		err = k.Wait.Try(ctx, func(ctx context.Context) error { return k.move(ctx, LabelExchange, to, k.version.ID) })
	}
	if to == "" && err == nil || secrets.ErrorKind(err) == secrets.ErrNotFound { // there was no other version, or it is gone
		err = k.park(ctx)
	}
	k.tellUnreleased(err)
}

// Lose is called where what the session holds was sent by this run, and the
// answer is lost or what it held could not be stored. Nobody is at work on it
// any more, so it is noted at once and the next run may see to it.
func (k *Keeper) Lose(ctx context.Context) {
	k.dropRescue(ctx)
	if !k.claimed {
		return
	}
	k.claimed = false
	var err error
	if !k.bumped {
		err = k.noteSent(ctx, k.doubt.n+1, k.Now())
	}
	k.bumped = false
	if err == nil {
		err = k.unnote(ctx)
	}
	if err == nil {
		err = k.park(ctx)
	}
	k.tellUnreleased(err)
}

func (k *Keeper) tellUnreleased(err error) {
	if kind := secrets.ErrorKind(err); kind != secrets.NoError && kind != secrets.ErrLabelMoved {
		k.Hint("the claim on the session could not be given back; a later run takes it over: " + err.Error())
	}
}

// unnote takes the notes of this run's own claim away, before the claim ends.
func (k *Keeper) unnote(ctx context.Context) error {
	d, err := k.Describe(ctx)
	if err != nil {
		return err
	}
	for _, n := range notes(d.Labels[k.version.ID], LabelSeen) {
		if err := k.drop(ctx, n.label, k.version.ID); err != nil {
			return err
		}
	}
	return nil
}

// park moves LabelExchange to a version made for it, on which no run has seen it
// before.
func (k *Keeper) park(ctx context.Context) error {
	to, err := k.holder(ctx)
	if err != nil && k.prior != "" { // the secret takes no new version: better there than not at all
		to, err = k.prior, nil
	}
	if err != nil {
		return err
	}
	return k.Wait.Try(ctx, func(ctx context.Context) error { return k.move(ctx, LabelExchange, to, k.version.ID) })
}
