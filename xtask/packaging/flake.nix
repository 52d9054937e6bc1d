# Builds the program from this checkout: nix build 'git+file:.?dir=xtask/packaging' (see README.md).
{
  description = "Exports container images straight from the directories in which engines keep them";

  inputs.nixpkgs.url = "nixpkgs";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      each = nixpkgs.lib.genAttrs systems;
      source = ../..;
    in {
      packages = each (system:
        let pkgs = nixpkgs.legacyPackages.${system};
        in {
          default = pkgs.rustPlatform.buildRustPackage {
            pname = "layerlift";
            version = "0.1.0";
            src = source;
            cargoLock.lockFile = source + "/Cargo.lock";
            nativeBuildInputs = [ pkgs.installShellFiles ];
            buildAndTestSubdir = "cli";
            # The tests need stores of engines, some of them as root.
            cargoTestFlags = [ "--bins" ];
            postInstall = ''
              for shell in bash zsh fish; do
                $out/bin/layerlift completions $shell > layerlift.$shell
              done
              installShellCompletion layerlift.{bash,zsh,fish}
              $out/bin/layerlift man > layerlift.1
              installManPage layerlift.1
            '';
            meta = {
              license = with pkgs.lib.licenses; [ mit asl20 ];
              platforms = systems;
              mainProgram = "layerlift";
            };
          };
        });
    };
}
