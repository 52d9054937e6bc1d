# For Homebrew on Linux. The address and the checksum are those of a release; see README.md.
class Layerlift < Formula
  desc "Exports container images straight from the directories of engines"
  homepage "https://docs.rs/layerlift"
  url ENV.fetch("SOURCE_URL", "file:///dev/null"), using: :curl
  version "0.1.0"
  sha256 ENV.fetch("SOURCE_SHA256", "0" * 64)
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build
  depends_on :linux

  def install
    system "cargo", "install", *std_cargo_args(path: "cli")
    generate_completions_from_executable(bin/"layerlift", "completions")
    (man1/"layerlift.1").write Utils.safe_popen_read(bin/"layerlift", "man")
    %w[save push join check images inspect verify containers rootfs volumes volume stores].each do |command|
      (man1/"layerlift-#{command}.1").write Utils.safe_popen_read(bin/"layerlift", "man", command)
    end
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/layerlift --version")
    assert_equal "[]", shell_output("#{bin}/layerlift stores --json --root #{testpath}", 2).strip
  end
end
