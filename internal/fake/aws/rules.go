package fakeaws

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rotationRules is when a secret rotates [botocore secretsmanager RotationRulesType;
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html].
type rotationRules struct {
	AutomaticallyAfterDays int64  `json:",omitempty" between:"1,1000"`
	Duration               string `json:",omitempty" size:"2,3" pattern:"^[0-9]+h$"`
	ScheduleExpression     string `json:",omitempty" size:"1,256"`
}

// minInterval is the shortest time between two rotations.
const minInterval = 4

var (
	rateExpression = regexp.MustCompile(`^rate\(([1-9][0-9]{0,2}) (hours?|days?)\)$`)
	cronExpression = regexp.MustCompile(`^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$`)
)

func badRules(text string) error { return refuse("InvalidParameterException", "%s", text) }

func (r *rotationRules) check() error {
	switch {
	case r.AutomaticallyAfterDays != 0 && r.ScheduleExpression != "":
		return badRules("You can't specify both AutomaticallyAfterDays and ScheduleExpression.")
	case r.AutomaticallyAfterDays == 0 && r.ScheduleExpression == "":
		return badRules("You must specify either AutomaticallyAfterDays or ScheduleExpression.")
	case r.ScheduleExpression == "":
		return nil
	}
	window := 0
	if r.Duration != "" {
		window, _ = strconv.Atoi(strings.TrimSuffix(r.Duration, "h"))
		if window < 1 || window > 24 {
			return badRules("Duration must be between 1h and 24h.")
		}
	}
	if rate := rateExpression.FindStringSubmatch(r.ScheduleExpression); rate != nil {
		n, _ := strconv.Atoi(rate[1])
		if strings.HasPrefix(rate[2], "hour") && (n < minInterval || window > n) {
			return badRules("The rotation window must not be shorter than 4 hours apart or extend into the next one.")
		}
		return nil
	}
	return r.checkCron(window)
}

// checkCron accepts cron(0 hours day-of-month month day-of-week *) in UTC.
func (r *rotationRules) checkCron(window int) error {
	fields := cronExpression.FindStringSubmatch(r.ScheduleExpression)
	if fields == nil || fields[1] != "0" || fields[6] != "*" || fields[3] != "?" && fields[5] != "?" {
		return badRules("ScheduleExpression must be rate(value unit) or cron(0 hours day-of-month month day-of-week *).")
	}
	hours, ok := cronHours(fields[2])
	if !ok {
		return badRules("The hours of ScheduleExpression can't be read.")
	}
	for i, hour := range hours {
		gap := hours[(i+1)%len(hours)] - hour
		if gap <= 0 {
			gap += 24
		}
		if gap < minInterval || window > gap {
			return badRules("Rotations must be at least 4 hours apart, and the window must not extend into the next one.")
		}
	}
	return nil
}

// cronHours lists the hours a cron hour field names, in order.
func cronHours(field string) ([]int, bool) {
	var hours []int
	for part := range strings.SplitSeq(field, ",") {
		span, stepText, stepped := strings.Cut(part, "/")
		step := 1
		if stepped {
			var err error
			if step, err = strconv.Atoi(stepText); err != nil || step < 1 {
				return nil, false
			}
		}
		first, last, ok := hourSpan(span, stepped)
		if !ok {
			return nil, false
		}
		for hour := first; hour <= last; hour += step {
			hours = append(hours, hour)
		}
	}
	slices.Sort(hours)
	return slices.Compact(hours), len(hours) > 0
}

func hourSpan(span string, stepped bool) (first, last int, ok bool) {
	if span == "*" {
		return 0, 23, true
	}
	from, to, ranged := strings.Cut(span, "-")
	first, err := strconv.Atoi(from)
	if err != nil || first < 0 || first > 23 {
		return 0, 0, false
	}
	switch {
	case ranged:
		last, err = strconv.Atoi(to)
		return first, last, err == nil && last >= first && last <= 23
	case stepped:
		return first, 23, true
	default:
		return first, first, true
	}
}

// next is the earliest time of the rotation after one at t: the interval later,
// at the start of that UTC day for rules in days. For cron rules it is the zero
// time: the fake starts no rotation by the clock.
func (r *rotationRules) next(t time.Time) time.Time {
	if r == nil {
		return time.Time{}
	}
	const day = 24 * time.Hour
	if r.AutomaticallyAfterDays != 0 {
		return t.UTC().Truncate(day).Add(time.Duration(r.AutomaticallyAfterDays) * day)
	}
	rate := rateExpression.FindStringSubmatch(r.ScheduleExpression)
	if rate == nil {
		return time.Time{}
	}
	n, _ := strconv.Atoi(rate[1])
	if strings.HasPrefix(rate[2], "hour") {
		return t.UTC().Truncate(time.Hour).Add(time.Duration(n) * time.Hour)
	}
	return t.UTC().Truncate(day).Add(time.Duration(n) * day)
}
