//go:build verify

package others

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	fakeidp "evertoken/internal/fake/idp"
)

// TestAReleaseDeploysWithTheAWSCLI deploys the bundle of a release with the AWS CLI
// alone, as far as a test can: `aws cloudformation package` uploads to moto's S3, SAM's
// own translator does the work of AWS's transform, and the test runs the functions to
// which the template then points.
func TestAReleaseDeploysWithTheAWSCLI(t *testing.T) {
	t.Parallel()
	dist := setting(t, "EVERTOKEN_DIST")
	sums := exec.CommandContext(t.Context(), "sha256sum", "--check", "--quiet", "SHA256SUMS")
	sums.Dir = dist
	if out, err := sums.CombinedOutput(); err != nil {
		t.Fatalf("the checksums: %v\n%s", err, out)
	}
	programs, err := filepath.Glob(filepath.Join(dist, "*.cdx.json"))
	if err != nil || len(programs) != 4+6 { // two functions for two processors, the command for six platforms
		t.Errorf("%d bills of materials, %v, want 10", len(programs), err)
	}
	for _, file := range programs {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), "pkg:golang/github.com/aws/aws-sdk-go-v2@") {
			t.Errorf("%s does not name the AWS SDK: %v", filepath.Base(file), err)
		}
	}
	architecture := map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
	bundles, err := filepath.Glob(filepath.Join(dist, "evertoken_*_lambda_"+architecture+".zip"))
	if err != nil || len(bundles) != 1 {
		t.Fatalf("the bundles: %v, %v", bundles, err)
	}
	folder := unzip(t, bundles[0])
	cli := func(args ...string) []byte {
		t.Helper()
		c := exec.CommandContext(t.Context(), filepath.Join(setting(t, "EVERTOKEN_PYTHON_BIN"), "aws"), args...)
		c.Dir = folder
		c.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+setting(t, "EVERTOKEN_MOTO_URL"))
		c.Stderr = t.Output()
		out, err := c.Output()
		if err != nil {
			t.Fatalf("aws %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	const bucket = "evertoken-release"
	cli("s3", "mb", "s3://"+bucket)
	cli("cloudformation", "package", "--template-file", "template.yaml", "--s3-bucket", bucket,
		"--output-template-file", "packaged.yaml")
	cli("cloudformation", "validate-template", "--template-body", "file://connection.yaml")

	resources := translated(t, filepath.Join(folder, "packaged.yaml"))
	ownNames(t, resources)
	a, _ := fake(t)
	idp := provider(t)
	_, refreshToken := idp.Flexera().AddRefreshToken("nam", "user@example.com", fakeidp.FlexeraTokenOptions{})
	a.declare(t, "flexera", "flexera",
		map[string]any{"zone": "nam", "login_url": idp.Flexera().LoginURL("nam"),
			"api_url": idp.Flexera().APIURL("nam")},
		map[string]any{"refresh_token": refreshToken})
	for _, id := range []string{"IssueFunction", "RotateFunction"} {
		var code struct{ S3Bucket, S3Key string }
		decode(t, resources[id].Properties["Code"], &code)
		check(t, id+"'s bucket", bucket, code.S3Bucket)
		file := filepath.Join(folder, id+".zip")
		cli("s3", "cp", "--quiet", "s3://"+code.S3Bucket+"/"+code.S3Key, file)
		binary := filepath.Join(unzip(t, file), "bootstrap")
		check(t, id+"'s processors", `["`+architecture+`"]`,
			strings.ReplaceAll(string(resources[id].Properties["Architectures"]),
				`{"Ref":"Architecture"}`, `"`+architecture+`"`))
		if id == "IssueFunction" {
			check(t, "the deployed function", []string{"flexera issued"},
				a.outcomes(run(t, a.function(t, binary), nil)))
		} else {
			a.function(t, binary) // it starts
		}
	}
}

// ownNames checks that nothing in the transformed template has a name that a second stack
// in the account would need too.
func ownNames(t *testing.T, resources map[string]translatedResource) {
	t.Helper()
	name := regexp.MustCompile(`^([A-Za-z]+)?Name$`)
	// These members name an existing thing, unless it is the resource's own name.
	refers := map[string]bool{"FunctionName": true, "MetricName": true, "QueueName": true,
		"GroupName": true, "RoleName": true,
		"PolicyName": true} // an inline policy's name is its role's affair
	own := map[string]bool{"AWS::Lambda::Function FunctionName": true,
		"AWS::IAM::Role RoleName": true, "AWS::SQS::Queue QueueName": true}
	for id, r := range resources {
		for member, value := range r.Properties {
			if !name.MatchString(member) || refers[member] && !own[r.Type+" "+member] {
				continue
			}
			if !strings.Contains(string(value), "AWS::StackName") {
				t.Errorf("%s (%s) has %s %s: two stacks in one account would collide", id, r.Type, member, value)
			}
		}
	}
}

type translatedResource struct {
	Type       string
	Properties map[string]json.RawMessage
}

// translated are a template's resources after the transform.
func translated(t *testing.T, template string) map[string]translatedResource {
	t.Helper()
	c := exec.CommandContext(t.Context(), setting(t, "EVERTOKEN_SAM_PYTHON"), "testdata/translate.py", template)
	c.Stderr = t.Output()
	out, err := c.Output()
	if err != nil {
		t.Fatalf("translating the template: %v", err)
	}
	var transformed struct{ Resources map[string]translatedResource }
	decode(t, out, &transformed)
	if transformed.Resources["IssueFunction"].Type != "AWS::Lambda::Function" {
		t.Fatal("the transform made no function")
	}
	return transformed.Resources
}

func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// unzip unpacks an archive into a new folder and returns it, or the one folder
// that is in it.
func unzip(t *testing.T, archive string) string {
	t.Helper()
	data, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	inner := folder
	for _, f := range z.File {
		path := filepath.Join(folder, filepath.Clean("/"+f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(path) != folder {
			inner = filepath.Dir(path)
		}
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, f.Mode()); err != nil {
			t.Fatal(err)
		}
	}
	return inner
}
