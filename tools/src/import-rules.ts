// Who may import whom, and the check of a source tree against it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, matchesGlob, normalize, relative } from "node:path";
import { type Import, importsOf } from "./imports.ts";

const scope = "@im-gateway/";

interface Place {
  /** A glob of package folders. */
  readonly folder: string;
  /** Names without the scope. */
  readonly mayImport: readonly string[];
  /** No runtime's modules and no vendor's client, not even as a type. */
  readonly webStandardsOnly?: boolean;
  /** Never published and never imported by what is: its devDependencies count as declared. */
  readonly outside?: boolean;
}

const published = ["proto", "core", "adapters", "logic", "client"];

/** The directions: proto ← core ← adapters ← logic ← server-*, and proto ← client-sdk. Nothing of ours imports a server. */
const places: readonly Place[] = [
  { folder: "proto", mayImport: [], webStandardsOnly: true },
  { folder: "packages/core", mayImport: ["proto"], webStandardsOnly: true },
  { folder: "packages/adapters", mayImport: ["proto", "core"] },
  { folder: "packages/logic", mayImport: ["proto", "core", "adapters"] },
  { folder: "packages/server-*", mayImport: ["proto", "core", "adapters", "logic"] },
  { folder: "packages/client-sdk", mayImport: ["proto"], webStandardsOnly: true },
  { folder: "packages/protoc-gen-im", mayImport: ["proto", "core"] },
  { folder: "tools", mayImport: [], outside: true },
  { folder: "conformance", mayImport: [...published, "tools"], outside: true },
  { folder: "bench", mayImport: [...published, "tools"], outside: true },
  { folder: "chaos", mayImport: [...published, "tools"], outside: true },
  { folder: "examples/*", mayImport: published, outside: true },
];

const vendorClients = [
  "kafkajs",
  "@platformatic/kafka",
  "etcd3",
  "@connectrpc/connect-node",
  "ws",
  "@grpc/*",
  "ioredis",
  "redis",
];

interface Package {
  readonly name: string;
  readonly folder: string;
  /** Absent for somebody's own service: what it imports is its own affair, if it is declared. */
  readonly place: Place | undefined;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies: ReadonlySet<string>;
  readonly devDependencies: ReadonlySet<string>;
}

interface Edge {
  readonly to: string;
  readonly line: number;
}

/**
 * Checks every `src/**\/*.ts` of the workspace at `root`: directions, cycles of files (through package names as well), what core may name,
 * and that what is imported is declared. Tests (`*.test.ts`) keep the directions too, but may also import tools and Node's modules.
 * Returns one line a violation, `file:line: what (rule)`, sorted; empty when all is well.
 */
export function checkImports(root: string): string[] {
  const packages = findPackages(root);
  const violations: string[] = [];
  const graph = new Map<string, Edge[]>();
  for (const owner of packages.values()) {
    if (owner.place === undefined && owner.name.startsWith(scope)) {
      violations.push(
        `${owner.folder}/package.json:1: has no place in the directions; give it one in tools/src/import-rules.ts`,
      );
    }
    for (const file of sourceFiles(root, owner.folder)) {
      const edges: Edge[] = [];
      graph.set(file, edges);
      for (const imported of importsOf(file, readFileSync(join(root, file), "utf8"))) {
        const problem = problemWith(imported, file, owner, packages);
        if (problem !== undefined) violations.push(`${file}:${imported.line}: ${problem}`);
        const to = resolveImport(imported, file, packages);
        if (to !== undefined) edges.push({ to, line: imported.line });
      }
    }
  }
  violations.push(...cycles(graph));
  return violations.sort();
}

function problemWith(
  { specifier }: Import,
  file: string,
  owner: Package,
  packages: ReadonlyMap<string, Package>,
): string | undefined {
  const isTest = file.endsWith(".test.ts");
  if (specifier.startsWith(".")) {
    const target = normalize(join(dirname(file), specifier));
    if (target.startsWith(`${owner.folder}/`)) return undefined;
    return `"${specifier}" leaves the package; import another package by its name`;
  }
  const name = packageName(specifier);
  const { place } = owner;
  if (isBuiltin(specifier)) {
    if (place?.webStandardsOnly !== true || isTest) return undefined;
    return `"${specifier}" in ${owner.name}, which sees Web standards only`;
  }
  if (place?.webStandardsOnly === true && vendorClients.some((client) => matchesGlob(name, client))) {
    return `"${specifier}" in ${owner.name}, which sees Web standards only: a vendor's client belongs behind an adapter`;
  }
  if (packages.has(name) && name !== owner.name && place !== undefined) {
    if (name.startsWith(`${scope}server-`)) return `"${specifier}": nothing imports a server`;
    const allowed = isTest ? [...place.mayImport, "tools"] : place.mayImport;
    if (!allowed.some((short) => name === scope + short)) {
      return `"${specifier}" in ${owner.name}, which may import ${allowed.length > 0 ? `only ${allowed.join(", ")}` : "no other package"}`;
    }
  }
  if (name === owner.name || owner.dependencies.has(name)) return undefined;
  if (owner.devDependencies.has(name)) {
    if (isTest || place?.outside === true) return undefined;
    return `"${specifier}" is only a devDependency of ${owner.name}; what is not a test needs it in dependencies`;
  }
  return `"${specifier}" is not declared in ${owner.folder}/package.json`;
}

/** The file, relative to the root, that an import means; undefined for what is not in this workspace. */
function resolveImport(
  { specifier }: Import,
  file: string,
  packages: ReadonlyMap<string, Package>,
): string | undefined {
  if (specifier.startsWith(".")) return normalize(join(dirname(file), specifier));
  const name = packageName(specifier);
  const target = packages.get(name);
  if (target === undefined) return undefined;
  const entry = target.exports[`.${specifier.slice(name.length)}`];
  const source = typeof entry === "string" ? entry : isRecord(entry) ? entry[`${scope}source`] : undefined;
  return typeof source === "string" ? normalize(join(target.folder, source)) : undefined;
}

function packageName(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

/** One line a cycle; a cycle is found once, from the file that comes first. */
function cycles(graph: ReadonlyMap<string, readonly Edge[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    path.push(file);
    for (const { to, line } of graph.get(file) ?? []) {
      const start = path.indexOf(to);
      if (start !== -1) found.push(`${file}:${line}: closes a cycle: ${[...path.slice(start), to].join(" → ")}`);
      else if (!done.has(to)) visit(to);
    }
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) {
    if (!done.has(file)) visit(file);
  }
  return found;
}

function findPackages(root: string): Map<string, Package> {
  const folders = [...subfolders(root, "."), ...subfolders(root, "packages"), ...subfolders(root, "examples")].filter(
    (folder) => existsSync(join(root, folder, "package.json")),
  );
  const packages = folders.map((folder): Package => {
    const manifest: unknown = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
    const field = (name: string): Record<string, unknown> => {
      const value = isRecord(manifest) ? manifest[name] : undefined;
      return isRecord(value) ? value : {};
    };
    return {
      name: isRecord(manifest) ? String(manifest.name) : "",
      folder,
      place: places.find((place) => matchesGlob(folder, place.folder)),
      exports: field("exports"),
      dependencies: new Set([
        ...Object.keys(field("dependencies")),
        ...Object.keys(field("peerDependencies")),
        ...Object.keys(field("optionalDependencies")),
      ]),
      devDependencies: new Set(Object.keys(field("devDependencies"))),
    };
  });
  return new Map(packages.map((found) => [found.name, found]));
}

function subfolders(root: string, folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && entry.name !== "node_modules")
    .map((entry) => join(folder, entry.name))
    .sort();
}

function sourceFiles(root: string, folder: string): string[] {
  const source = join(root, folder, "src");
  if (!existsSync(source)) return [];
  return readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
