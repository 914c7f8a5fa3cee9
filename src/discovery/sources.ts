/**
 * Sources: the one that a configuration names.
 */
import type { DiscoveryConfig } from "../config/config.ts";
import { AddressSource, type Names, ServiceSource } from "./dns.ts";
import { DockerSource } from "./docker.ts";
import { FileSource } from "./file.ts";
import { HttpSource } from "./http.ts";
import type { Source } from "./source.ts";

/** `isSecure`: the upstream speaks TLS to its endpoints. */
export function makeSource(config: DiscoveryConfig, isSecure: boolean, names: Names): Source {
  switch (config.kind) {
    case "dns":
      return new AddressSource(names, config);
    case "srv":
      return new ServiceSource(names, config.name);
    case "file":
      return new FileSource(config.path, isSecure);
    case "docker":
      return new DockerSource(config);
    case "http":
      return new HttpSource(config.url, isSecure);
  }
}
