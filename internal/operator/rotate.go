package operator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/spf13/cobra"

	"evertoken/internal/secrets"
	"evertoken/internal/strictjson"
)

func (a *app) rotateCommand() *cobra.Command {
	var every string
	c := a.changing(&cobra.Command{
		Use:   "rotate NAME [credential|session|token]",
		Short: "Have Secrets Manager rotate a secret now, and wait for its end",
		Long: `Rotate has Secrets Manager rotate one secret of a connection: a credential (the
client of a Flexera service account), a session or a token. If only one of
them has a rotation, you need not name it. --every sets the schedule, four hours
or more; a secret without a rotation needs it.`,
		Example: "  evertoken rotate flexera-prod credential --every 30d\n " +
			" evertoken rotate apiax-prod session",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usage("Usage: "+c.UseLine(), "evertoken rotate needs a name")
			}
			return nil
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, begun string) ([]string,
			cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{"credential", "session", "token"}, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completeNames(c, args, begun)
		},
		RunE: func(c *cobra.Command, args []string) error {
			role := ""
			if len(args) == 2 {
				role = args[1]
			}
			return a.rotate(c.Context(), args[0], role, every)
		},
	})
	c.Flags().StringVar(&every, "every", "", "schedule to set, as 30d or 12h")
	return c
}

func (a *app) rotate(ctx context.Context, name, role, every string) error {
	schedule, err := scheduleOf(every)
	if err != nil {
		return err
	}
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	doc, d, err := a.rotated(ctx, t, role, schedule)
	if err != nil {
		return err
	}
	pending := versionWith(d.VersionIdsToStages, secrets.Pending)
	if pending != "" && pending != versionWith(d.VersionIdsToStages, secrets.Current) {
		return person("Secrets Manager retries it, and `evertoken explain "+name+"` shows its "+
			"result. The log of the function rotate says why it stopped: "+
			a.cli("logs", "tail", "/aws/lambda/"+t.stack.name+"-rotate"),
			"a rotation of %s is in progress, or stopped half-way", doc.name())
	}
	return a.change(func(ch changes) error {
		if err := ch.rotateSecret(ctx, doc.id, t.stack.rotate, schedule); err != nil || a.dryRun {
			return err
		}
		return a.awaitRotation(ctx, t, doc, versionWith(d.VersionIdsToStages, secrets.Current))
	})
}

// rotated is the secret to rotate.
func (a *app) rotated(ctx context.Context, t target, role, schedule string) (document,
	*secretsmanager.DescribeSecretOutput, error) {
	var found []document
	described := map[string]*secretsmanager.DescribeSecretOutput{}
	for _, doc := range documents(t.Connection) {
		if role != "" && doc.role != role {
			continue
		}
		d, err := a.aws.secrets.DescribeSecret(ctx,
			&secretsmanager.DescribeSecretInput{SecretId: &doc.id})
		if missing(err) && role == "" {
			continue
		}
		if err != nil {
			return doc, nil, refused(err, "secretsmanager:DescribeSecret", doc.name())
		}
		if role != "" || aws.ToBool(d.RotationEnabled) {
			found = append(found, doc)
			described[doc.role] = d
		}
	}
	switch {
	case len(found) == 0 && role == "":
		return document{}, nil, usage("Say which, and how often: "+
			"evertoken rotate "+t.Name+" session --every 7d",
			"no secret of %s has a rotation", t.Name)
	case len(found) == 0:
		return document{}, nil, usage("Say which: evertoken rotate "+t.Name+" credential|session|token",
			"a secret is a credential, a session or a token; %s has no %q", t.Name, role)
	case len(found) > 1:
		var roles []string
		for _, f := range found {
			roles = append(roles, f.role)
		}
		return document{}, nil, usage("Say which: evertoken rotate "+t.Name+" "+roles[0],
			"%s has several rotations: %s", t.Name, strings.Join(roles, ", "))
	}
	d := described[found[0].role]
	if !aws.ToBool(d.RotationEnabled) && schedule == "" {
		return found[0], d, usage("Give --every, as: evertoken rotate "+t.Name+" "+found[0].role+
			" --every 30d", "%s has no rotation schedule yet", found[0].name())
	}
	return found[0], d, nil
}

// scheduleOf writes an interval as Secrets Manager accepts it: whole hours from 4 on, or
// whole days (RotationRulesType.ScheduleExpression).
func scheduleOf(every string) (string, error) {
	if every == "" {
		return "", nil
	}
	d, err := strictjson.ParseDuration(every)
	const day = 24 * time.Hour
	switch {
	case err != nil || d%time.Hour != 0 || d < 4*time.Hour || d > 999*day:
		return "", usage("Give --every again, as --every 12h or --every 30d.",
			"--every must be whole hours or days from 4h on")
	case d == day:
		return "rate(1 day)", nil
	case d%day == 0:
		return fmt.Sprintf("rate(%d days)", d/day), nil
	}
	return fmt.Sprintf("rate(%d hours)", d/time.Hour), nil
}

const (
	rotationLasts = 5 * time.Minute
	rotationEvery = 2 * time.Second
	// rotationGone is how many looks in a row must show no AWSPENDING before the rotation
	// counts as ended. One look may be stale, since Secrets Manager is eventually consistent.
	rotationGone = 3
)

// awaitRotation waits until AWSCURRENT has moved, or until the rotation has ended otherwise.
func (a *app) awaitRotation(ctx context.Context, t target, doc document, before string) error {
	gone, name, log := 0, t.Name, a.cli("logs", "tail", "/aws/lambda/"+t.stack.name+"-rotate")
	for end := a.Now().Add(rotationLasts); a.Now().Before(end); {
		h, err := a.look(ctx, doc.id)
		if err != nil {
			return err
		}
		if h.current() != before {
			a.say("%s is rotated.\n", doc.name())
			if a.output == "json" {
				return a.json(map[string]string{"secret": doc.name(), "outcome": "rotated"})
			}
			return nil
		}
		if gone++; versionWith(h.labels, secrets.Pending) != "" {
			gone = 0
		}
		if gone == rotationGone {
			return person("The log of the function rotate says why: "+log+"\n"+
				"Correct that, then run the same command again.",
				"the rotation of %s ended without a new version; the version in force is unchanged",
				doc.name())
		}
		if err := a.Sleep(ctx, rotationEvery); err != nil {
			return &failure{exitHalf, fmt.Errorf("interrupted: Secrets Manager continues the "+
				"rotation of %s", doc.name()), "To see how it goes: evertoken explain " + name}
		}
	}
	return person("Secrets Manager retries it. The log of the function rotate says why it failed: "+
		log, "the rotation of %s is not complete after %s", doc.name(), span(rotationLasts))
}
