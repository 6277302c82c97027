package template

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTheCostsAddUp: the counts in docs/operations.md are those of the template, and its
// sums are right.
func TestTheCostsAddUp(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/operations.md")
	alarms, byName, composite := 0, 0, 0
	r := stack(t, nil)
	for _, a := range r.alarms() {
		if a.byName {
			byName++
			continue
		}
		alarms++
	}
	resources := r.template.get("Resources")
	for _, id := range resources.members() {
		if resources.get(id, "Type").text() == "AWS::CloudWatch::CompositeAlarm" {
			composite++
		}
	}
	for _, want := range []string{
		fmt.Sprintf("| alarms | %d × $0.10, and $%.2f for the composite one | $%.2f |", alarms,
			0.5*float64(composite), 0.1*float64(alarms)+0.5*float64(composite)),
		fmt.Sprintf("| alarms by name | %d queries × $0.10 for each series | $%.2f |", byName, 0.1*float64(byName)),
		"| metrics of the fleet | 9 × $0.30 | $2.70 |", // as many as TestEveryMetricIsOneOfTheREADME counts
		"| metrics of its own | 3 × $0.30 | $0.90 |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("docs/operations.md does not say %s", want)
		}
	}
	_, table, found := strings.Cut(page, "**For each connection:**")
	table, _, closed := strings.Cut(table, "\n- ")
	if !found || !closed {
		t.Fatal("docs/operations.md has no costs of a connection")
	}
	sum := 0
	for _, m := range regexp.MustCompile(`(?m)^\| [^*].*\| \$(\d+)\.(\d\d) \|$`).FindAllStringSubmatch(table, -1) {
		cents, err := strconv.Atoi(m[1] + m[2])
		if err != nil {
			t.Fatal(err)
		}
		sum += cents
	}
	if want := fmt.Sprintf("| **together** | | **$%d.%02d** |", sum/100, sum%100); !strings.Contains(table, want) {
		t.Errorf("the costs of a connection are not %s", want)
	}
	if want := fmt.Sprintf("**$%d.%02d** |", (sum-120)/100, (sum-120)%100); !strings.Contains(table, want) {
		t.Errorf("without metrics and alarms of its own a connection does not cost %s", want)
	}
	description := r.text(r.template.get("Parameters", "ConnectionMetrics", "Description").value)
	if !strings.Contains(description, "$1.20 a month") {
		t.Errorf("ConnectionMetrics says another price: %s", description)
	}
}
