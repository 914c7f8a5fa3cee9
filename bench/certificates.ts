/**
 * Certificates: P-256 pairs of a test authority in files, the same ones for every subject.
 *
 * out    each as certificate, key, and both in one file as HAProxy wants them
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { testAuthority } from "../tests/support/certificates.ts";

export interface CertificateFiles {
  readonly name: string;
  readonly cert: string;
  readonly key: string;
  readonly both: string;
}

export const nameOf = (index: number) => `host-${index}.bench.test`;

export async function makeCertificates(folder: string, count: number): Promise<CertificateFiles[]> {
  const authority = await testAuthority();
  const target = join(folder, `certificates-${count}`);
  mkdirSync(target, { recursive: true });
  const made: CertificateFiles[] = [];
  for (let index = 0; index < count; index++) {
    const name = nameOf(index);
    const { cert, key } = await authority.issue({ names: [name] });
    const files = {
      cert: join(target, `${index}.crt`),
      key: join(target, `${index}.key`),
      both: join(target, `${index}.pem`),
    };
    writeFileSync(files.cert, cert);
    writeFileSync(files.key, key, { mode: 0o600 });
    writeFileSync(files.both, cert + key, { mode: 0o600 });
    made.push({ name, ...files });
  }
  return made;
}
