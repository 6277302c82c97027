package session

import (
	"context"
	"slices"
	"strings"

	"evertoken/internal/credential"
	"evertoken/internal/secrets"
)

// Run are the functions through which the steps ask the run that makes them.
type Run struct {
	// Check returns an error if the run must not go on with the secret as described.
	Check func(secrets.Description, Stage) error
	// Changed is called when another session has become current. Its error ends the claim.
	Changed func(context.Context) error
	// Terms is called again in each stage.
	Terms func() Terms
}

// turns is the most steps that a run makes. Each step ends the claim, or changes the state
// that the next one reads.
const turns = 8

// Begin proves that the session can be stored and claims it for this run, or passes by the
// claim of another run. On success either [Keeper.Claimed] or [Keeper.Beside] is true.
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
			k.version.Labels, k.doubt = on(d), sentNote(on(d)) // the labels that were read may be older
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
	return &Waiting{"the session keeps changing, because another run is renewing it"}
}

// step makes one step. again says that the stage must be read again.
func (k *Keeper) step(ctx context.Context, run Run, d secrets.Description, stage Stage, step Step) (
	again bool, err error,
) {
	current, holder := d.Holder(secrets.Current), d.Holder(LabelExchange)
	switch step {
	case Open:
		return false, k.open(ctx, d, run.Terms().OpensWith)
	case ReadAgain:
		return true, k.readAgain(ctx, run, d)
	case Place:
		err := k.place(ctx, d)
		if secrets.ErrorKind(err) == secrets.ErrLabelMoved {
			err = nil // another run has placed it
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
		if found { // the session that was found is now current, and must be claimed itself
			return true, run.Changed(ctx)
		}
	}
	if with := run.Terms().OpensWith; with != "" && k.doc.Opening() && k.doc.OpeningWith != with {
		return false, k.openOver(ctx, with)
	}
	return false, nil
}

// busy is the error of a run that leaves a claim to the run that made it.
func (k *Keeper) busy() error {
	return &Waiting{"another run has claimed the session and may be renewing it; if that run has " +
		"ended, a later run takes the claim over " + k.RunLasts.String() + " after it was first noted"}
}

// exclusive turns AWS's refusal of the second of two runs into a [*Waiting].
func (k *Keeper) exclusive(err error) error {
	if secrets.ErrorKind(err) == secrets.ErrLabelMoved {
		return &Waiting{"another run has claimed the session"}
	}
	return err
}

// readAgain reads AWSCURRENT and takes it as the current session.
func (k *Keeper) readAgain(ctx context.Context, run Run, d secrets.Description) error {
	if k.stored { // this run has stored a session, and AWS still shows an older state
		return &Waiting{"Secrets Manager does not yet show what this run stored"}
	}
	v, err := k.Secrets.Get(ctx, k.ID, secrets.Current)
	if err != nil {
		return err
	}
	if v.ID != d.Holder(secrets.Current) {
		return &Waiting{"two reads of the session differ, because another run is renewing it"}
	}
	v.Labels = on(d)
	k.Use(v)
	return run.Changed(ctx)
}

// place puts LabelExchange, which no version has, onto a version other than AWSCURRENT, where
// it is no claim. It is not known whether AWS refuses to attach a label to the version that
// already has it, so a claim always moves it from another version.
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

// holder makes a version whose only purpose is to have LabelExchange.
func (k *Keeper) holder(ctx context.Context) (string, error) {
	id := secrets.FreshID()
	value := credential.Session{OpeningAt: k.Now()}.EncodeUnique(secrets.FreshID())
	return id, k.Wait.Try(ctx, func(ctx context.Context) error {
		return k.Secrets.Put(ctx, k.ID, id, value, LabelHolder)
	})
}

// tidy removes the labels of versions that have nothing but notes, because a secret can have
// only 20 labels.
func (k *Keeper) tidy(ctx context.Context, d secrets.Description) {
	note := func(label string) bool {
		return strings.HasPrefix(label, LabelSeen) || strings.HasPrefix(label, LabelSent) ||
			k.IsNote(label)
	}
	for id, labels := range d.Labels {
		if slices.ContainsFunc(labels, func(label string) bool { return !note(label) }) {
			continue
		}
		for _, label := range labels {
			if err := k.drop(ctx, label, id); err != nil {
				k.Hint("A label on an earlier version of the session could not be removed, " +
					"which does no harm and which a later run tries again: " + err.Error())
			}
		}
	}
}

// claim moves the label onto AWSCURRENT. Before that it removes notes about earlier claims.
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
	if slices.Contains(on(d), LabelKept) { // it is about to be sent, and nobody may use it again
		rescued, _, err := k.readRescue(ctx)
		token := rescued.RefreshToken
		if err == nil && token.Equal(k.doc.RefreshToken) && !token.IsZero() {
			k.rescued, err = true, k.emptyRescue(ctx)
		}
		if err != nil {
			return err
		}
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

// takeOver takes the claim of a run that has ended. The refresh token of that version counts
// as sent.
func (k *Keeper) takeOver(ctx context.Context, d secrets.Description) error {
	if err := k.prove(ctx); err != nil {
		return err
	}
	seen := notes(on(d), LabelSeen)
	for _, n := range seen { // one of two runs succeeds, since both remove the notes in one order
		if err := k.exclusive(k.move(ctx, n.label, "", k.version.ID)); err != nil {
			return err
		}
	}
	k.claimed, k.prior = true, ""
	if k.doubt.n == 0 {
		if err := k.noteSent(ctx, 1, seen[0].at); err != nil {
			k.claimed = false // the claim stays, and a later run notes it again
			return err
		}
	}
	k.Hint("The answer to an earlier exchange was lost. Evertoken looks for a session that was " +
		"stored elsewhere, and else follows the provider's rule for a lost answer " +
		"(docs/reliability.md). You need to do nothing unless this connection fails.")
	return nil
}

// passBy leaves a claim alone. Only one run may pass it by at a time: the run that succeeds
// in counting up the note, by its name.
func (k *Keeper) passBy(ctx context.Context, d secrets.Description) error {
	seen := notes(on(d), LabelSeen)[0]
	if err := k.exclusive(k.move(ctx, seen.label, "", k.version.ID)); err != nil {
		return err
	}
	if err := k.move(ctx, seenLabel(seen.n+1, seen.at), k.version.ID, ""); err != nil {
		return err
	}
	k.beside = true
	k.Hint("Another run has the claim, or left it. Evertoken opens a new session, " +
		"because the token is about to die, and you need to do nothing.")
	return nil
}

// note labels the claimed version with the time at which its claim was first seen. It removes
// the label again if the claim has ended meanwhile.
func (k *Keeper) note(ctx context.Context, current string) error {
	label := seenLabel(1, k.Now())
	err := k.move(ctx, label, current, "")
	if err != nil && secrets.ErrorKind(err) != secrets.ErrLabelMoved {
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
