package session

import (
	"context"
	"time"

	"evertoken/internal/secrets"
)

// noteSent puts a note LabelSent on the current version in place of the old one.
func (k *Keeper) noteSent(ctx context.Context, n int, at time.Time) error {
	label := sentLabel(n, at)
	old := k.doubt.label
	if old == label {
		return nil
	}
	err := k.Wait.Try(ctx, func(ctx context.Context) error {
		return k.move(ctx, label, k.version.ID, "")
	})
	// If the label has moved, an earlier try moved it and its answer was lost.
	if err != nil && secrets.ErrorKind(err) != secrets.ErrLabelMoved {
		return err
	}
	k.doubt = note{label, n, at}
	if old == "" {
		return nil
	}
	return k.drop(ctx, old, k.version.ID)
}

// Sending must be called before the session's refresh token is sent, or a seed that opens a
// session. If it was sent before and got no answer, Sending counts this time first.
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

// Unchanged must be called if the provider has answered and there is nothing to store. The
// refresh token works, so it is no longer in doubt.
func (k *Keeper) Unchanged(ctx context.Context) {
	if k.claimed && k.doubt.n > 0 {
		if err := k.drop(ctx, k.doubt.label, k.version.ID); err != nil {
			k.Hint("Evertoken could not remove the note of an earlier lost answer, " +
				"and the next renewal removes it: " + err.Error() + ".")
		}
		k.doubt, k.bumped = note{}, false
	}
	k.Release(ctx)
}

// Release ends the claim if nothing was spent.
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
		err = k.Wait.Try(ctx, func(ctx context.Context) error {
			return k.move(ctx, LabelExchange, to, k.version.ID)
		})
	}
	// No other version had the label, or that version is gone.
	if to == "" && err == nil || secrets.ErrorKind(err) == secrets.ErrNotFound {
		err = k.park(ctx)
	}
	k.tellUnreleased(err)
}

// Lose must be called if this run sent the session's refresh token, and the answer is lost
// or could not be stored. Lose notes that and ends the claim at once, so that the next run
// can act.
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
		k.Hint("The claim on the session could not be released, and a later run takes it over: " +
			err.Error())
	}
}

// unnote removes the notes about this run's own claim, before the claim ends.
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

// park moves LabelExchange to a version made for it, on which no run has seen it before. If
// the label went back to the version that had it earlier, a run that AWS showed an old state
// could claim. If the secret takes no new version, the claim stays and gets a note, so that
// a later run takes it over.
func (k *Keeper) park(ctx context.Context) error {
	label := LabelExchange
	to, err := k.holder(ctx)
	from := k.version.ID
	if err != nil {
		label, to, from = seenLabel(1, k.Now()), k.version.ID, ""
	}
	return k.Wait.Try(ctx, func(ctx context.Context) error { return k.move(ctx, label, to, from) })
}
