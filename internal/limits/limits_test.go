package limits_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"evertoken/internal/limits"
)

func TestAnExchangeLeavesTimeToStoreWhatItYields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		left    time.Duration // 0: no deadline
		enough  bool
		bounded time.Duration
	}{
		{0, true, 20 * time.Second},
		{time.Minute, true, 20 * time.Second},
		{30 * time.Second, true, 20 * time.Second},
		{29 * time.Second, true, 19 * time.Second},
		{15 * time.Second, true, 5 * time.Second},
		{15*time.Second - 1, false, 5*time.Second - 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if tt.left > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.left)
				defer cancel()
			} else if got := limits.Remaining(ctx); got != limits.Run {
				t.Errorf("without a deadline %s remain", got)
			}
			if got := limits.Enough(ctx); got != tt.enough {
				t.Errorf("%s left: Enough = %t", tt.left, got)
			}
			inner, cancel := limits.Bounded(ctx)
			defer cancel()
			if end, _ := inner.Deadline(); time.Until(end) != tt.bounded {
				t.Errorf("%s left: bounded to %s, want %s", tt.left, time.Until(end), tt.bounded)
			}
		})
	}
}
