#include "kernels/probe.h"

#include <vector>

#include "kernels/cpu/dispatch.h"
#include "test/support/catch.h"

using namespace carat;

TEST_CASE("the read probe counts every byte it is given, and none behind", "[probe]") {
  std::vector<std::byte> bytes(1300, std::byte{1});
  for (const cpu::Table* table : cpu::usable()) {
    for (const std::size_t n : {0, 1, 7, 127, 128, 511, 512, 513, 1024, 1200}) {  // registers, steps, what is left
      INFO(table->name << ", " << n << " bytes");
      const std::uint64_t sum = table->probe.read(bytes.data(), n);
      std::size_t seen = 0;
      for (std::byte& byte : bytes) {
        byte = std::byte{2};
        seen += table->probe.read(bytes.data(), n) != sum;
        byte = std::byte{1};
      }
      CHECK(seen == n);
    }
  }
}

TEST_CASE("both rates are those of this machine", "[probe]") {
  const auto isas = usable_isas();
  const std::string isa(GENERATE_COPY(from_range(isas)));
  INFO(isa);
  Probe probe({2, isa});
  const std::vector<std::byte> memory(std::size_t{3} << 20);
  const std::vector<std::span<const std::byte>> pieces = {memory, std::span(memory).first(1)};
  const double read = probe.read_rate(pieces), products = probe.product_rate();
  CHECK(read > 1e7);
  CHECK(read < 1e13);
  CHECK(products > 1e7);
  CHECK(products < 1e14);
  CHECK(!probe.product().empty());
}

TEST_CASE("a probe of an instruction set that this machine lacks is refused", "[probe]") {
  CHECK_THROWS_AS(Probe({1, "abacus"}), std::invalid_argument);
}
