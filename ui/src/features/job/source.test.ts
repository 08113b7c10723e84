import { expect, test } from "vitest";
import { codeOf, dockerfileOf, repositoryOf } from "./source";

const git = (remote: string, commit = "abc123") => repositoryOf({ source: { git: { remote, commit } } });

test("remotes in all spellings lead to the page of their files", () => {
  expect(git("https://github.com/acme/train.git")?.files).toBe("https://github.com/acme/train/tree/abc123");
  expect(git("git@gitlab.example.com:team/deep/train.git")?.files).toBe("https://gitlab.example.com/team/deep/train/-/tree/abc123");
  expect(git("ssh://git@codeberg.org:2222/a/b")?.files).toBe("https://codeberg.org/a/b/src/commit/abc123");
  // A host that is not known has its page alone.
  expect(git("http://git.example:3000/a/b.git")).toMatchObject({ page: "http://git.example:3000/a/b", files: null });
});

test("what is no web address is no link, and a login is never shown", () => {
  expect(git("/srv/repositories/a.git")).toMatchObject({ page: null, files: null, remote: "/srv/repositories/a.git" });
  expect(git("javascript:alert(1)")?.page ?? "").not.toMatch(/^javascript/);
  expect(git("file:///etc/passwd")?.page).toBeNull();
  expect(git("https://user:token@github.com/acme/train")).toMatchObject({ remote: "https://github.com/acme/train", page: "https://github.com/acme/train" });
  expect(repositoryOf({ source: { image: "a" } })).toBeNull();
});

test("a Dockerfile is named from the build context", () => {
  expect(dockerfileOf({ source: { dockerfile: "Dockerfile.gpu", build_context: "./docker/" } })).toBe("docker/Dockerfile.gpu");
  expect(dockerfileOf({ source: { dockerfile: "./Dockerfile" } })).toBe("Dockerfile");
  expect(dockerfileOf({ source: { artifact: "wandb-artifact://_id/0a1b" } })).toBeNull();
  expect(codeOf({ source: { artifact: "wandb-artifact://_id/0a1b" } })).toBe("0a1b");
});
