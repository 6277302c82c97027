package session

import (
	"context"
	"time"

	"evertoken/internal/secrets"
)

// noteSent puts a note on the version in force and takes the others away.
func (k *Keeper) noteSent(ctx context.Context, n int, at time.Time) error {
	label := sentLabel(n, at)
	old := k.doubt.label
	if old == label {
		return nil
	}
	err := k.Wait.Try(ctx, func(ctx context.Context) error {
		return k.move(ctx, label, k.version.ID, "")
	})
	// Where it has moved, the try before moved it, and its answer was lost.
	if err != nil && secrets.ErrorKind(err) != secrets.ErrLabelMoved {
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
			k.Hint("Evertoken could not remove the note of an earlier lost answer, " +
				"and the next renewal removes it: " + err.Error() + ".")
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
		err = k.Wait.Try(ctx, func(ctx context.Context) error {
			return k.move(ctx, LabelExchange, to, k.version.ID)
		})
	}
	// There was no other version, or it is gone.
	if to == "" && err == nil || secrets.ErrorKind(err) == secrets.ErrNotFound {
		err = k.park(ctx)
	}
	k.tellUnreleased(err)
}

// Lose is called where what the session holds was sent by this run, and the
// answer is lost or what it held could not be stored. No run uses it
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
		k.Hint("The claim on the session could not be released, and a later run takes it over: " +
			err.Error())
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
// before: by the version that had it earlier, a run that AWS showed an old state could
// claim. Where the secret takes no new version, the claim stays and gets its note, so
// that a later run takes it over.
func (k *Keeper) park(ctx context.Context) error {
	label := LabelExchange
	to, err := k.holder(ctx)
	from := k.version.ID
	if err != nil {
		label, to, from = seenLabel(1, k.Now()), k.version.ID, ""
	}
	return k.Wait.Try(ctx, func(ctx context.Context) error { return k.move(ctx, label, to, from) })
}
