# workerd for bench/compare: one Durable Object with SQLite storage per tenant. Listens on the socket
# and stores in the folder that the command line names (--socket-addr, --directory-path).
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "storage", disk = (writable = true)),
  ],
  sockets = [(name = "http", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "workerd.js")],
  compatibilityDate = "2026-01-01",
  durableObjectNamespaces = [
    (className = "Database", uniqueKey = "rookery-bench", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "storage"),
  bindings = [(name = "DATABASES", durableObjectNamespace = "Database")],
);
