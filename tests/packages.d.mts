/** Types of packages.mjs, which is plain JavaScript because Node runs it before anything is installed. */
export interface PackageRow {
  readonly program: string;
  readonly package: string;
  readonly purpose: string;
  readonly for: readonly ("test" | "bench")[];
}
export declare const PACKAGES: readonly PackageRow[];
export declare function isInstalled(program: string): boolean;
/** Installs what is missing when that is possible. out  what is still missing, each with the reason */
export declare function provide(use: "test" | "bench", say: (line: string) => void): string[];
