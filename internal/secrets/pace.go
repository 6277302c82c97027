package secrets

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// The rates that AWS allows in one account and Region, all callers together,
// in calls a second. Sources: for secrets
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html,
// not adjustable; for parameters the quotas of Systems Manager at default
// throughput, which an account can raise for money.
const (
	// WriteQuota is that of PutSecretValue, UpdateSecret and
	// UpdateSecretVersionStage together.
	WriteQuota = 50
	// BatchQuota is that of BatchGetSecretValue.
	BatchQuota = 100
	// ParameterReadQuota is that of GetParameter, GetParameters and
	// GetParametersByPath together.
	ParameterReadQuota = 40
	// parameterWriteCap is not a quota of AWS: no source that can be cited has one for
	// PutParameter. The pace finds it by AWS's throttles.
	parameterWriteCap = 20
)

// Paces has one pace for each group of calls that AWS counts together. A nil pace does not
// wait.
type Paces struct {
	// Writes is that of puts and label moves, Batches that of
	// BatchGetSecretValue.
	Writes, Batches *Pace
	// ParameterReads and ParameterWrites are those of Parameter Store.
	ParameterReads, ParameterWrites *Pace
}

// NewPaces returns paces within AWS's quotas, writes of secrets within
// writesPerSecond besides.
func NewPaces(writesPerSecond int, now func() time.Time,
	sleep func(context.Context, time.Duration) error,
) *Paces {
	return &Paces{
		Writes:          NewPace(min(writesPerSecond, WriteQuota), gently, now, sleep),
		Batches:         NewPace(BatchQuota, 1, now, sleep),
		ParameterReads:  NewPace(ParameterReadQuota, 1, now, sleep),
		ParameterWrites: NewPace(parameterWriteCap, gently, now, sleep),
	}
}

const (
	// gently is the part of its cap with which a pace of writes begins, because others in
	// the account need that quota too. Others seldom make reads of this kind, so those
	// begin with the whole cap.
	gently = 0.5
	// fastGrowth and slowGrowth are what a pace gains in a second in which it is
	// used, in calls a second: before it was ever throttled and after.
	fastGrowth, slowGrowth = 10, 2
	// slowDown is what a throttle leaves of the pace. It counts once in a
	// second, because one moment's throttles come in numbers.
	slowDown      = 0.8
	slowDownEvery = time.Second
	// leastPace is the slowest pace after throttles, in calls a second.
	leastPace = 1
	// burstShare is the part of the cap that may pass at once after a pause.
	burstShare = 0.2
)

// Pace holds one kind of call to a rate that other callers may share. It lets a few calls
// through at once and begins with a share of its cap. It gets faster while AWS accepts the
// calls, and slower when AWS throttles (additive increase, multiplicative decrease). It
// keeps its rate from run to run. A nil Pace does not wait.
type Pace struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	mu     sync.Mutex
	most   float64 // calls a second, never exceeded
	rate   float64 // calls a second now
	saved  float64 // calls that may pass at once; negative: calls that wait
	filled time.Time
	slowed time.Time // when AWS last throttled; zero if never
}

// NewPace returns a pace of at most perSecond calls a second, which begins with a
// share of that, 1 for all.
func NewPace(perSecond int, share float64, now func() time.Time,
	sleep func(context.Context, time.Duration) error,
) *Pace {
	most := float64(perSecond)
	p := &Pace{now: now, sleep: sleep, most: most, rate: max(1, most*share)}
	p.saved = p.burst()
	return p
}

func (p *Pace) burst() float64 { return max(1, p.most*burstShare) }

// Wait returns when a call may be made, or the context's error.
func (p *Pace) Wait(ctx context.Context) error {
	if p == nil {
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	wait := p.take()
	if wait <= 0 {
		return nil
	}
	err := p.sleep(ctx, wait)
	if err != nil {
		p.giveBack()
	}
	return err
}

// take takes the next place in the queue and returns how long it must wait.
func (p *Pace) take() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.filled.IsZero() {
		p.filled = now
	}
	if passed := now.Sub(p.filled); passed > 0 {
		p.saved = min(p.burst(), p.saved+passed.Seconds()*p.rate)
		p.filled = now
	}
	p.saved--
	if p.saved >= 0 {
		return 0
	}
	return time.Duration(-p.saved / p.rate * float64(time.Second))
}

// Delay is how long a call would wait now.
func (p *Pace) Delay() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	waiting := -(p.saved + p.now().Sub(p.filled).Seconds()*p.rate)
	return time.Duration(max(0, waiting) / p.rate * float64(time.Second))
}

func (p *Pace) giveBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saved++
}

// told records AWS's answer to one try of a call.
func (p *Pace) told(err error) {
	throttled := ErrorKind(classify("", err)) == ErrThrottled
	p.mu.Lock()
	defer p.mu.Unlock()
	switch now := p.now(); {
	case throttled && (p.slowed.IsZero() || now.Sub(p.slowed) >= slowDownEvery):
		p.rate = max(min(leastPace, p.most), p.rate*slowDown)
		p.saved = min(p.saved, 0)
		p.slowed = now
	case err == nil && p.slowed.IsZero():
		p.rate = min(p.most, p.rate+fastGrowth/p.rate)
	case err == nil:
		p.rate = min(p.most, p.rate+slowGrowth/p.rate)
	}
}

// throttledAttempts is how often a call at a pace is tried while AWS throttles it: AWS did
// not carry out a throttled call, and the pace gets slower.
const throttledAttempts = 8

// pacedRetryer makes every try of one call wait for the pace, the SDK's own retries too,
// and tells the pace the result. It serves one call.
type pacedRetryer struct {
	aws.Retryer
	pace   *Pace
	failed int // tries that failed otherwise than by a throttle
}

// GetAttemptToken is called before each try; what it returns is called with
// the try's error.
func (r *pacedRetryer) GetAttemptToken(ctx context.Context) (func(error) error, error) {
	if err := r.pace.Wait(ctx); err != nil {
		return nil, err
	}
	return func(err error) error { r.pace.told(err); return nil }, nil
}

// MaxAttempts is the bound for throttles. IsErrorRetryable allows [attempts] for all other
// errors.
func (r *pacedRetryer) MaxAttempts() int { return throttledAttempts }

// IsErrorRetryable is asked once after each try that failed.
func (r *pacedRetryer) IsErrorRetryable(err error) bool {
	if !r.Retryer.IsErrorRetryable(err) {
		return false
	}
	if ErrorKind(classify("", err)) == ErrThrottled {
		return true
	}
	r.failed++
	return r.failed < attempts
}

var _ aws.RetryerV2 = (*pacedRetryer)(nil)

// paced is the retryer of one call at a pace; without a pace it is the client's own.
func paced(client aws.Retryer, pace *Pace) aws.Retryer {
	if pace == nil {
		return client
	}
	return &pacedRetryer{Retryer: client, pace: pace}
}

// Rate is how many calls a second pass now.
func (p *Pace) Rate() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rate
}
